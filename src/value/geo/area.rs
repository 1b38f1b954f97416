//! Which scores can lie within a circle or a box: those of nine cells.
//!
//! The cell of the centre and its eight neighbours, of a size that they cover the area. Which
//! size that is, which cells are left out, and their order show in the order of answers that
//! are not sorted, so all of it is as in Redis 7.0, its approximations included.

use std::ops::Range;

use smallvec::SmallVec;

use super::{Area, EARTH, EVEN, Place, STEPS, WORLD, degrees, radians};

/// Half of the equator on the Mercator projection, in metres.
const MERCATOR: f64 = 20_037_726.37;

/// What is searched, in units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// All within a distance.
    Circle {
        /// The distance.
        radius: f64,
    },
    /// All within half a width to the west and east, and half a height to the north and south.
    Rectangle {
        /// From west to east.
        width: f64,
        /// From north to south.
        height: f64,
    },
}

/// An area around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The place.
    pub centre: Place,
    /// The area.
    pub form: Form,
    /// Metres of a unit.
    pub unit: f64,
}

/// A part of the world, after so many cuts of each coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    bits: u64,
    steps: u32,
}

/// The directions of the neighbours, east and north as 1, in the order in which Redis looks at
/// them, its own cell first.
const DIRECTIONS: [(i8, i8); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

impl Cell {
    fn of(place: Place, steps: u32) -> Cell {
        Cell { bits: WORLD.encode(place, steps), steps }
    }

    /// The cell beside this one, around the world if need be.
    fn neighbour(self, (east, north): (i8, i8)) -> Cell {
        let used = u64::MAX >> (64 - self.steps * 2);
        let moved = |mask: u64, by: i8| {
            // With ones between the bits of the coordinate, carries pass through.
            let (own, between) = (self.bits & mask, !mask & used);
            let moved = match by {
                0 => return own,
                1.. => own.wrapping_add(between + 1),
                _ => (own | between).wrapping_sub(between + 1),
            };
            moved & mask & used
        };
        Cell { bits: moved(!EVEN, east) | moved(EVEN, north), steps: self.steps }
    }

    fn area(self) -> Area {
        WORLD.decode(self.bits, self.steps)
    }

    /// The scores of the places in the cell.
    fn scores(self) -> Range<u64> {
        let shift = (STEPS - self.steps) * 2;
        self.bits << shift..(self.bits + 1) << shift
    }
}

impl Search {
    /// The distance of a place from the centre in metres, if it is in the area.
    pub fn reaches(&self, place: Place) -> Option<f64> {
        match self.form {
            Form::Circle { radius } => {
                // Of antipodes, rounding can make it no number; Redis has them in the area.
                let distance = self.centre.distance(place);
                if distance > radius * self.unit { None } else { Some(distance) }
            }
            Form::Rectangle { width, height } => {
                let Place { longitude, .. } = self.centre;
                let beside = Place { longitude, latitude: place.latitude };
                let inside = self.centre.latitude_distance(place) <= height * self.unit / 2.0
                    && place.distance(beside) <= width * self.unit / 2.0;
                inside.then(|| self.centre.distance(place))
            }
        }
    }

    /// The ranges of the scores that places in the area can have, in the order in which they
    /// are to be looked at.
    pub fn ranges(&self) -> SmallVec<[Range<u64>; 9]> {
        let bounds = self.bounds();
        let mut steps = self.steps();
        let mut own = Cell::of(self.centre, steps);
        if steps > 1 && !is_covered(own, &bounds) {
            steps -= 1;
            own = Cell::of(self.centre, steps);
        }
        let area = own.area();
        let needed = |(east, north): (i8, i8)| {
            steps < 2
                || !(north < 0 && area.latitude.0 < bounds.latitude.0
                    || north > 0 && area.latitude.1 > bounds.latitude.1
                    || east < 0 && area.longitude.0 < bounds.longitude.0
                    || east > 0 && area.longitude.1 > bounds.longitude.1)
        };
        let mut ranges = SmallVec::new();
        let mut last = None;
        for direction in DIRECTIONS.into_iter().filter(|direction| needed(*direction)) {
            let cell = own.neighbour(direction);
            // Around a small world, neighbours can be the same. Redis does not look at the same
            // cell twice in a row, unless it is the one in the middle.
            if last != Some(cell) {
                ranges.push(cell.scores());
                if direction != DIRECTIONS[0] {
                    last = Some(cell);
                }
            }
        }
        ranges
    }

    /// Half of the width and of the height, in metres.
    fn halves(&self) -> (f64, f64) {
        match self.form {
            Form::Circle { radius } => (self.unit * radius, self.unit * radius),
            Form::Rectangle { width, height } => {
                (self.unit * (width / 2.0), self.unit * (height / 2.0))
            }
        }
    }

    /// The meridians and parallels around the area; beyond the ends of the world, too.
    fn bounds(&self) -> Area {
        let (width, height) = self.halves();
        let Place { longitude, latitude } = self.centre;
        let high = degrees(height / EARTH);
        // The parallel that is further from the equator is the one on which degrees are short.
        let outer = if latitude < 0.0 { latitude - high } else { latitude + high };
        let wide = degrees(width / EARTH / radians(outer).cos());
        Area {
            longitude: (longitude - wide, longitude + wide),
            latitude: (latitude - high, latitude + high),
        }
    }

    /// Cuts after which a cell is about as large as the area.
    fn steps(&self) -> u32 {
        let mut metres = self.unit
            * match self.form {
                Form::Circle { radius } => radius,
                Form::Rectangle { width, height } => {
                    ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
                }
            };
        if metres == 0.0 {
            return STEPS;
        }
        let mut steps: u32 = 1;
        while metres < MERCATOR {
            metres *= 2.0;
            steps += 1;
        }
        // Larger ones, so that nine cover the area; and towards the poles, where they are narrow.
        let latitude = self.centre.latitude.abs();
        let larger = 2 + u32::from(latitude > 66.0) + u32::from(latitude > 80.0);
        steps.saturating_sub(larger).clamp(1, STEPS)
    }
}

/// Whether the neighbours of a cell reach to the bounds.
fn is_covered(cell: Cell, bounds: &Area) -> bool {
    let area = |direction| cell.neighbour(direction).area();
    area((0, 1)).latitude.1 >= bounds.latitude.1
        && area((0, -1)).latitude.0 <= bounds.latitude.0
        && area((1, 0)).longitude.1 >= bounds.longitude.1
        && area((-1, 0)).longitude.0 <= bounds.longitude.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_are_around_the_world() {
        let cell = Cell::of(Place { longitude: 179.9, latitude: 0.1 }, 10);
        let east = cell.neighbour((1, 0));
        assert_eq!(east, Cell::of(Place { longitude: -179.9, latitude: 0.1 }, 10));
        for (east, north) in DIRECTIONS {
            assert_eq!(cell.neighbour((east, north)).neighbour((-east, -north)), cell);
        }
    }

    proptest! {
        #[test]
        fn what_is_near_is_in_a_range(
            longitude in -150.0f64..150.0, latitude in -60.0f64..60.0,
            radius in 1.0f64..1_000_000.0, east in -1.0f64..1.0, north in -1.0f64..1.0,
        ) {
            let centre = Place { longitude, latitude };
            let size = degrees(radius / EARTH);
            let place = Place {
                longitude: longitude + east * size, latitude: latitude + north * size,
            };
            for form in [
                Form::Circle { radius },
                Form::Rectangle { width: radius, height: radius },
            ] {
                let search = Search { centre, form, unit: 1.0 };
                if search.reaches(place).is_some() {
                    let ranges = search.ranges();
                    prop_assert!(ranges.iter().any(|range| range.contains(&place.score())));
                }
            }
        }
    }
}
