//! Places on the earth as 52-bit integers, of which near ones mostly belong to near places.
//!
//! Longitude and latitude are cut in two 26 times each, and the bits of both alternate, the
//! longitude's first: a geohash. A sorted set keeps it as score. Constants and the order of
//! operations are those of Redis 7.0, since clients see the last digit. Left out on purpose:
//! the flattening of the earth.

mod area;

use std::f64::consts::PI;

pub use self::area::{Form, Search};

/// Radius of the earth in metres, as Redis has it.
const EARTH: f64 = 6_372_797.560856;

/// Cuts of each coordinate in a score.
const STEPS: u32 = 26;

/// The part of the earth that scores tell apart: that of the Mercator projection.
const WORLD: Area = Area { longitude: (-180.0, 180.0), latitude: (-85.05112878, 85.05112878) };

/// The part that geohashes of the rest of the world tell apart.
const GLOBE: Area = Area { longitude: (-180.0, 180.0), latitude: (-90.0, 90.0) };

/// The digits of a geohash.
const DIGITS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// To the east of Greenwich.
    pub longitude: f64,
    /// To the north of the equator.
    pub latitude: f64,
}

/// What lies between two meridians and two parallels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    longitude: (f64, f64),
    latitude: (f64, f64),
}

impl Area {
    /// The cell of a place after so many cuts of each coordinate.
    fn encode(&self, place: Place, steps: u32) -> u64 {
        let index = |value: f64, (min, max): (f64, f64)| {
            ((value - min) / (max - min) * (1u64 << steps) as f64) as u32
        };
        let latitude = index(place.latitude, self.latitude);
        spread(latitude) | spread(index(place.longitude, self.longitude)) << 1
    }

    /// What a cell covers.
    fn decode(&self, bits: u64, steps: u32) -> Area {
        let cells = (1u64 << steps) as f64;
        let edges = |index: u32, (min, max): (f64, f64)| {
            let edge = |index: u32| min + f64::from(index) / cells * (max - min);
            (edge(index), edge(index.wrapping_add(1)))
        };
        Area {
            longitude: edges(gather(bits >> 1), self.longitude),
            latitude: edges(gather(bits), self.latitude),
        }
    }
}

/// The bits of an integer with a zero behind each.
fn spread(value: u32) -> u64 {
    let mut bits = u64::from(value);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, EVEN),
    ] {
        bits = (bits | bits << shift) & mask;
    }
    bits
}

/// Every other bit of an integer, the lowest among them.
fn gather(bits: u64) -> u32 {
    let mut bits = bits & EVEN;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

const EVEN: u64 = 0x5555_5555_5555_5555;

impl Place {
    /// A place that has a score; `None` beyond the range of coordinates.
    pub fn new(longitude: f64, latitude: f64) -> Option<Place> {
        let within = |value: f64, (min, max): (f64, f64)| value >= min && value <= max;
        let known = within(longitude, WORLD.longitude) && within(latitude, WORLD.latitude);
        known.then_some(Place { longitude, latitude })
    }

    /// The score of a place.
    pub fn score(self) -> u64 {
        WORLD.encode(self, STEPS)
    }

    /// The middle of the cell that a score is. Any number is taken for one.
    pub fn of_score(score: f64) -> Place {
        let area = WORLD.decode(bits_of(score), STEPS);
        let middle = |(from, to): (f64, f64), (min, max)| ((from + to) / 2.0).clamp(min, max);
        Place {
            longitude: middle(area.longitude, WORLD.longitude),
            latitude: middle(area.latitude, WORLD.latitude),
        }
    }

    /// The geohash that others know, in which latitudes reach to the poles. Its eleventh digit
    /// would need more bits than there are.
    pub fn geohash(self) -> [u8; 11] {
        let bits = GLOBE.encode(self, STEPS);
        let mut text = [DIGITS[0]; 11];
        for (at, digit) in text[..10].iter_mut().enumerate() {
            *digit = DIGITS[(bits >> (47 - at * 5)) as usize % DIGITS.len()];
        }
        text
    }

    /// Metres to another place, on a sphere: the haversine formula.
    pub fn distance(self, other: Place) -> f64 {
        let v = ((radians(other.longitude) - radians(self.longitude)) / 2.0).sin();
        if v == 0.0 {
            return self.latitude_distance(other);
        }
        let (here, there) = (radians(self.latitude), radians(other.latitude));
        let u = ((there - here) / 2.0).sin();
        let a = u * u + here.cos() * there.cos() * v * v;
        2.0 * EARTH * a.sqrt().asin()
    }

    /// Metres to the parallel of another place.
    fn latitude_distance(self, other: Place) -> f64 {
        EARTH * (radians(other.latitude) - radians(self.latitude)).abs()
    }
}

/// The integer that a score is, converted as x86-64 does it: what a client has stored may be
/// no integer at all.
fn bits_of(score: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let signed = |value: f64| if (-HALF..HALF).contains(&value) { value as i64 } else { i64::MIN };
    if score < HALF { signed(score) as u64 } else { signed(score - HALF) as u64 ^ 1 << 63 }
}

fn radians(degrees: f64) -> f64 {
    degrees * (PI / 180.0)
}

fn degrees(radians: f64) -> f64 {
    radians / (PI / 180.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_places() {
        let palermo = Place::new(13.361389, 38.115556).unwrap();
        let catania = Place::new(15.087269, 37.502669).unwrap();
        assert_eq!(palermo.score(), 3_479_099_956_230_698);
        assert_eq!(catania.score(), 3_479_447_370_796_909);
        let [palermo, catania] =
            [palermo, catania].map(|place| Place::of_score(place.score() as f64));
        assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
        assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
        assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
        assert_eq!(palermo.distance(palermo), 0.0);
    }

    #[test]
    fn the_world_has_ends() {
        for (longitude, latitude) in [(-180.0, -85.05112878), (180.0, 85.05112878), (0.0, 0.0)] {
            assert!(Place::new(longitude, latitude).is_some());
        }
        for (longitude, latitude) in
            [(180.1, 0.0), (-180.1, 0.0), (0.0, 85.06), (0.0, -85.06), (f64::NAN, 0.0)]
        {
            assert!(Place::new(longitude, latitude).is_none());
        }
    }

    proptest! {
        #[test]
        fn bits_alternate(value in any::<u32>(), other in any::<u32>()) {
            let bits = spread(value) | spread(other) << 1;
            for at in 0..32 {
                prop_assert_eq!(bits >> (2 * at) & 1, u64::from(value >> at & 1));
                prop_assert_eq!(bits >> (2 * at + 1) & 1, u64::from(other >> at & 1));
            }
            prop_assert_eq!((gather(bits), gather(bits >> 1)), (value, other));
        }

        #[test]
        fn a_score_is_within_its_cell(
            longitude in -180.0f64..180.0, latitude in -85.0f64..85.0,
        ) {
            let place = Place::new(longitude, latitude).unwrap();
            let near = Place::of_score(place.score() as f64);
            prop_assert!((near.longitude - longitude).abs() <= 360.0 / f64::from(1 << 26));
            prop_assert!((near.latitude - latitude).abs() <= 171.0 / f64::from(1 << 26));
            prop_assert_eq!(near.score(), place.score());
            prop_assert_eq!(near.distance(place), place.distance(near));
        }

        #[test]
        fn any_score_is_some_place(score in any::<f64>()) {
            let place = Place::of_score(score);
            prop_assert!(Place::new(place.longitude, place.latitude).is_some());
        }
    }
}
