//! The board, and reports of it: what is told, what is forgotten, and what others may say.

use super::report::{self, Head};
use super::*;

const RULE: &str = "10/1h:fixed";

fn rule(token: &str) -> Rule {
    Rule::parse(token.as_bytes()).expect("a rule")
}

fn take(board: &Board, db: usize, key: &str, cost: u64, now_ms: u64) -> Status {
    let rule = rule(RULE);
    let span = Span::of(&rule).expect("that is shared");
    let asked = Asked { db, key: key.as_bytes(), rule: &rule, span };
    board.lock(db, std::iter::once(asked.key)).take(asked, cost, now_ms, |_| {})
}

fn used(board: &Board, key: &str) -> i64 {
    10 - take(board, 0, key, 0, 0)[2]
}

fn head() -> Head {
    let nodes = vec![(7, "eu".to_owned(), Some(5)), (8, "us".to_owned(), None)];
    let numbers = Head { from: 3, stamp_ms: 4, echo_ms: 5, held_ms: 6, ..Head::default() };
    Head { region: "a.b-c_1".to_owned(), worst_ms: 7, knows: 8, since: 9, nodes, ..numbers }
}

/// Tells one board all that the other has behind `since`; answers up to where that is.
fn tell(from: &Board, to: &Board, since: u64) -> (u64, bool) {
    let (bytes, said) = report::write(from, head(), since);
    let (read, limits) = report::read(&bytes).expect("a report");
    assert_eq!(read, said);
    for limit in &limits {
        to.hear((limit.db as usize, limit.key, limit.span), limit.counts(), 0);
    }
    (said.upto, said.complete)
}

#[test]
fn a_change_is_told_once_to_each_who_remembers() {
    let [one, other, third] = std::array::from_fn(|_| Board::default());
    for key in ["a", "b", "c"] {
        take(&one, 0, key, 2, 0);
    }
    let (upto, complete) = tell(&one, &other, 0);
    assert!(complete);
    assert_eq!(["a", "b", "c"].map(|key| used(&other, key)), [2, 2, 2]);
    assert!(one.changed(upto, 10).keys.is_empty());
    // Only what has changed since, and once however often it has.
    for _ in 0..3 {
        take(&one, 0, "b", 1, 0);
    }
    let changed = one.changed(upto, 10);
    assert_eq!(
        changed.keys.iter().map(|(_, db, key)| (*db, &**key)).collect::<Vec<_>>(),
        [(0, &b"b"[..])]
    );
    let (later, _) = tell(&one, &other, upto);
    assert!(later > upto);
    assert_eq!(used(&other, "b"), 5);
    // What is no news is not told on for ever: both ways, and round about.
    let (at, _) = tell(&other, &third, 0);
    tell(&other, &one, 0);
    tell(&third, &other, 0);
    assert!(one.changed(later, 10).keys.is_empty() && other.changed(at, 10).keys.is_empty());
    assert_eq!(used(&third, "b"), 5);
}

#[test]
fn what_does_not_fit_into_one_report_follows() {
    let [one, other] = std::array::from_fn(|_| Board::default());
    for n in 0..10_000 {
        take(&one, n % 3, &format!("key:{n}"), 1, 0);
    }
    let (mut since, mut reports) = (0, 0);
    loop {
        let (upto, complete) = tell(&one, &other, since);
        assert!(upto > since);
        (since, reports) = (upto, reports + 1);
        if complete {
            break;
        }
    }
    assert!(reports > 2);
    assert_eq!(other.figures(), (10_000, 0));
}

#[test]
fn the_board_is_bounded_and_forgets_what_is_over() {
    let board = Board::default();
    board.bound(3);
    for (at, key) in ["a", "b", "c"].iter().enumerate() {
        assert!(board.has_room(0, key.as_bytes()));
        take(&board, 0, key, 1, at as u64);
    }
    assert!(!board.has_room(0, b"d") && board.has_room(0, b"a") && !board.has_room(1, b"a"));
    let told = Count { bucket: 0, node: 9, taken: 4, returned: 0 };
    let span = Span::of(&rule(RULE)).expect("that is shared");
    board.hear((0, b"d", span), std::iter::once(told), 0);
    board.hear((0, b"a", span), std::iter::once(told), 0);
    assert_eq!((board.figures(), used(&board, "a")), ((3, 1), 5));
    board.bound(100);
    assert!(!board.has_room(0, &[b'k'; REGION_KEY_BYTES + 1]));
    board.hear((0, &[b'k'; REGION_KEY_BYTES + 1], span), std::iter::once(told), 0);
    // What says nothing takes no room.
    board.hear((0, b"e", span), std::iter::empty(), 0);
    board.hear((0, b"e", span), std::iter::once(Count { taken: 0, ..told }), 0);
    assert_eq!(board.figures(), (3, 2));
    board.sweep(3_600_000 - 1);
    assert_eq!(board.figures().0, 3);
    board.sweep(3_600_000);
    assert_eq!(board.figures().0, 0);
    assert!(board.changed(0, 10).keys.is_empty());
}

#[test]
fn a_key_has_a_few_windows_at_once() {
    let board = Board::default();
    for bucket_ms in 1..=10 {
        let span = Span::new(bucket_ms, 1).expect("a span");
        let told = Count { bucket: 0, node: 9, taken: 4, returned: 0 };
        board.hear((0, b"a", span), std::iter::once(told), 0);
    }
    let mut spans = 0;
    board.told(0, b"a", |_, _| spans += 1);
    assert_eq!(spans, REGION_SPANS);
}

#[test]
fn nothing_but_a_report_is_read() {
    let board = Board::default();
    for n in 0..5 {
        take(&board, n, "some key", 3, 0);
    }
    let (bytes, _) = report::write(&board, head(), 0);
    assert!(report::read(&bytes).is_ok());
    // Cut anywhere but between two limits, it is broken.
    let whole = (0..bytes.len()).filter(|end| report::read(&bytes[..*end]).is_ok()).count();
    assert_eq!(whole, 5);
    // Whatever a byte becomes, it is read or refused, and what is read does no harm.
    let other = Board::default();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut spoiled = bytes.clone();
            spoiled[at] ^= flip;
            let Ok((_, limits)) = report::read(&spoiled) else { continue };
            for limit in &limits {
                other.hear((limit.db as usize, limit.key, limit.span), limit.counts(), 0);
            }
        }
    }
    assert!(other.figures().0 < 1000);
    for spoiled in [&b""[..], &[0], &[1], &[2; 200], &[0xff; 500]] {
        assert_eq!(report::read(spoiled), Err(report::Broken));
    }
}

#[test]
fn ages_are_the_oldest_of_what_is_known() {
    let mut peers = Peers::default();
    assert_eq!((peers.nodes(), peers.staleness_ms(5)), (1, Some(0)));
    peers.heard(1, "a", Some(100), 40, 120);
    assert_eq!(peers.staleness_ms(150), Some(50));
    peers.heard_of(2, "b", None, 150);
    assert_eq!((peers.nodes(), peers.staleness_ms(150)), (3, None));
    peers.heard_of(2, "b", Some(90), 150);
    // An older word makes nothing older, one from the future nothing fresher than now.
    peers.heard_of(2, "b", Some(80), 150);
    peers.heard(1, "a", Some(u64::MAX), 900, 150);
    assert_eq!(peers.staleness_ms(150), Some(60));
    peers.look(190);
    assert_eq!((peers.peak_ms(), peers.worst_ms()), (100, 900));
    for id in 0..1000 {
        peers.heard_of(id, "many", Some(150), 150);
    }
    assert_eq!(peers.nodes(), 64);
    peers.look(REGION_FORGOTTEN + 151);
    assert_eq!(peers.nodes(), 1);
}

const REGION_FORGOTTEN: u64 = crate::limits::REGION_FORGOTTEN_MS;
