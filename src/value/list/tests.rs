//! Both forms against a deque of texts.

use std::collections::VecDeque;

use super::*;
use proptest::prelude::*;

type Model = VecDeque<Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    Push(End, Vec<Vec<u8>>),
    Drop(End, usize),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    RemoveEqual(End, Vec<u8>, usize),
    Trim,
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-c]{0,2}".prop_map(String::into_bytes),
        4 => (-3i64..300).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..120),
        1 => (0usize..5000).prop_map(|len| vec![b'x'; len]),
        1 => (0usize..3).prop_map(|more| vec![b'y'; 8100 + 100 * more]),
    ]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (end(), prop::collection::vec(text(), 1..12)).prop_map(|(e, t)| Step::Push(e, t)),
        2 => (end(), 0usize..9).prop_map(|(e, n)| Step::Drop(e, n)),
        3 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Set(at, text)),
        6 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Insert(at, text)),
        1 => (end(), text(), 0usize..4).prop_map(|(e, t, n)| Step::RemoveEqual(e, t, n)),
        1 => Just(Step::Trim),
    ]
}

fn remove_equal(model: &mut Model, from: End, text: &[u8], most: usize) -> usize {
    let mut equal: Vec<usize> = (0..model.len()).filter(|at| model[*at] == text).collect();
    if from == End::Back {
        equal.reverse();
    }
    equal.truncate(most);
    equal.sort_unstable();
    equal.iter().rev().for_each(|at| drop(model.remove(*at)));
    equal.len()
}

fn apply(list: &mut List, model: &mut Model, step: Step, limits: ListLimits) {
    match step {
        Step::Push(end, texts) => {
            let slices: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            list.push(end, &slices, limits);
            for text in texts {
                match end {
                    End::Front => model.push_front(text),
                    End::Back => model.push_back(text),
                }
            }
        }
        Step::Drop(end, count) => {
            list.cut(end, count);
            for _ in 0..count {
                match end {
                    End::Front => model.pop_front(),
                    End::Back => model.pop_back(),
                };
            }
        }
        Step::Set(at, text) if !model.is_empty() => {
            let at = at % model.len();
            list.set(at, &text, limits);
            model[at] = text;
        }
        Step::Set(..) => {}
        Step::Insert(at, text) => {
            let at = at % (model.len() + 1);
            list.insert(at, &text, limits);
            model.insert(at, text);
        }
        Step::RemoveEqual(from, text, most) => {
            let removed = list.remove_equal(from, &text, most);
            assert_eq!(removed, remove_equal(model, from, &text, most));
        }
        Step::Trim => {
            let (front, back) = (model.len() / 4, model.len() / 3);
            list.cut(End::Front, front);
            list.cut(End::Back, back);
            model.drain(..front);
            model.truncate(model.len() - back);
        }
    }
}

fn texts<'a>(elements: impl Iterator<Item = Element<'a>>) -> Vec<Vec<u8>> {
    elements.map(|element| element.text().to_vec()).collect()
}

fn check(list: &List, model: &Model) {
    let read = list.as_ref();
    assert_eq!(read.len(), model.len());
    let mut expected: Vec<_> = model.iter().cloned().collect();
    assert_eq!(texts(read.from(End::Front)), expected);
    for index in [0, model.len() / 3, model.len() / 2, model.len() * 2 / 3, model.len()] {
        assert_eq!(texts(read.forward(index)), expected[index..]);
        assert_eq!(read.get(index).as_deref(), model.get(index).map(Vec::as_slice));
    }
    if let Some(last) = model.len().checked_sub(1) {
        for index in [0, last / 3, last / 2, last * 2 / 3, last] {
            let mut front = expected[..=index].to_vec();
            front.reverse();
            assert_eq!(texts(read.backward(index)), front);
        }
    }
    let wanted = model.get(model.len() / 2).map_or(&b"a"[..], Vec::as_slice);
    let mut equal: Vec<usize> = (0..model.len()).filter(|at| model[*at] == wanted).collect();
    assert_eq!(read.positions(wanted, End::Front, usize::MAX).collect::<Vec<_>>(), equal);
    equal.reverse();
    assert_eq!(read.positions(wanted, End::Back, usize::MAX).collect::<Vec<_>>(), equal);
    expected.reverse();
    assert_eq!(texts(read.from(End::Back)), expected);
    if let Some(chain) = &list.large {
        chain.check();
    }
}

const FILLS: [i32; 9] = [-2, -1, -5, -100, 0, 1, 2, 5, i32::MAX];

proptest! {
    #[test]
    fn behaves_as_a_deque(
        steps in prop::collection::vec(step(), 0..80),
        fill in prop::sample::select(FILLS.to_vec()),
        chain in any::<bool>(),
    ) {
        let limits = ListLimits { fill };
        let (mut list, mut model) = (List::new(), Model::new());
        if chain {
            list.chain(limits);
        }
        for step in steps {
            apply(&mut list, &mut model, step, limits);
            check(&list, &model);
        }
        check(&List::from_texts(&model, limits), &model);
        check(&list.clone(), &model);
    }

    /// Enough nodes for several blocks.
    #[test]
    fn long_chains_behave_as_deques(
        steps in prop::collection::vec(step(), 0..30),
        fill in 1i32..4,
        length in 600usize..2000,
    ) {
        let limits = ListLimits { fill };
        let mut model: Model = (0..length).map(|n| (n % 7 * 100).to_string().into()).collect();
        let mut list = List::from_texts(&model, limits);
        check(&list, &model);
        for step in steps {
            apply(&mut list, &mut model, step, limits);
        }
        check(&list, &model);
        for from in [End::Back, End::Front] {
            let text = b"300";
            let removed = list.remove_equal(from, text, 100);
            prop_assert_eq!(removed, remove_equal(&mut model, from, text, 100));
            check(&list, &model);
        }
    }
}

#[test]
fn insertions_at_one_place_leave_full_nodes() {
    for place in 0..5 {
        let (limits, mut model) = (ListLimits::default(), Model::new());
        let mut list = List::new();
        for n in 0..6000 {
            let text = format!("element:{n:04}").into_bytes();
            let at = match place {
                0 => model.len() / 2,
                1 => 1.min(model.len()),
                2 => model.len().saturating_sub(1),
                3 => 400.min(model.len()),
                _ => n * 7919 % (model.len() + 1),
            };
            list.insert(at, &text, limits);
            model.insert(at, text);
        }
        check(&list, &model);
        let chain = list.large.as_deref().unwrap();
        let bytes = 6000 * (1 + 12 + 1);
        let nodes = chain.nodes();
        assert!(nodes <= bytes / 8192 * 5 / 2, "place {place}: {nodes} nodes for {bytes} bytes");
    }
}

#[test]
fn large_elements_have_nodes_of_their_own() {
    let limits = ListLimits::default();
    let large = vec![b'x'; 100_000];
    let mut list = List::new();
    for _ in 0..3 {
        list.push(End::Back, &[b"a", &large, b"b"], limits);
    }
    list.insert(4, &large, limits);
    list.set(0, &large, limits);
    assert_eq!(list.as_ref().len(), 10);
    let chain = list.large.as_deref().unwrap();
    chain.check();
    assert_eq!(chain.nodes(), 8);
}

#[test]
fn becomes_a_chain_at_its_bounds() {
    let limits = ListLimits::default();
    let mut list = List::new();
    for _ in 0..SMALL_ITEMS {
        list.push(End::Back, &[b"1"], limits);
    }
    assert!(list.large.is_none());
    list.push(End::Front, &[b"1"], limits);
    assert!(list.large.is_some());
    let half = vec![b'x'; SMALL_BYTES / 2 - 10];
    let mut list = List::from_texts([&half, &half], limits);
    assert!(list.large.is_none());
    list.set(0, &[&half[..], &half].concat(), limits);
    assert!(list.large.is_some());
    assert_eq!(list.as_ref().get(1).as_deref(), Some(&half[..]));
}

/// What Redis' listpack spends on each element is at most two bytes more than these.
#[test]
fn sizes() {
    let limits = ListLimits::default();
    let list = List::from_texts((0..100_000).map(|n| format!("job:{n:06}")), limits);
    let chain = list.large.as_deref().unwrap();
    // A byte of tag, ten of text, a byte of trail; and two in a hundred for the nodes.
    let each = chain.heap_bytes() as f64 / 100_000.0;
    assert!((12.0..12.2).contains(&each), "{each}");
    let list = List::from_texts((0..10_000).map(|n| (n % 100).to_string()), limits);
    let each = list.large.as_deref().unwrap().heap_bytes() as f64 / 10_000.0;
    assert!((1.0..1.1).contains(&each), "{each}");
}
