//! The messages of Envoy's rate limit service v3, and their JSON.
//!
//! Declared by hand, so that no build needs a compiler of .proto files: the numbers of the fields are those of
//! `envoy/service/ratelimit/v3/rls.proto` and `envoy/extensions/common/ratelimit/v3/ratelimit.proto`.
//! Fields that Eave never fills are left out; who decodes does not miss them.

use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is asked.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RateLimitRequest {
    /// The application.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What is to be limited; each for itself.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
    /// How much is taken; 0 means 1.
    #[prost(uint32, tag = "3")]
    #[serde(alias = "hits_addend")]
    pub hits_addend: u32,
}

/// What is to be limited.
#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Descriptor {
    /// From the outermost to the innermost.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// A limit in place of a named rule.
    #[prost(message, optional, tag = "2")]
    pub limit: Option<Override>,
    /// How much is taken, in place of the request's number.
    #[prost(message, optional, tag = "3")]
    #[serde(alias = "hits_addend")]
    pub hits_addend: Option<u64>,
    /// Whether it is given back.
    #[prost(bool, tag = "4")]
    #[serde(alias = "is_negative_hits")]
    pub is_negative_hits: bool,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A limit that a request brings along.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Override {
    /// How much in a unit.
    #[prost(uint32, tag = "1")]
    #[serde(alias = "requests_per_unit")]
    pub requests_per_unit: u32,
    /// Which unit.
    #[prost(enumeration = "Unit", tag = "2")]
    #[serde(deserialize_with = "unit")]
    pub unit: i32,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Unit {
    /// None that this version knows.
    Unknown = 0,
    /// A second.
    Second = 1,
    /// A minute.
    Minute = 2,
    /// An hour.
    Hour = 3,
    /// A day.
    Day = 4,
    /// Thirty days.
    Month = 5,
    /// 365 days.
    Year = 6,
    /// Seven days.
    Week = 7,
}

impl Unit {
    const NAMES: [(&str, Unit); 8] = [
        ("UNKNOWN", Unit::Unknown),
        ("SECOND", Unit::Second),
        ("MINUTE", Unit::Minute),
        ("HOUR", Unit::Hour),
        ("DAY", Unit::Day),
        ("MONTH", Unit::Month),
        ("YEAR", Unit::Year),
        ("WEEK", Unit::Week),
    ];

    /// Its milliseconds; none if it is not known.
    pub fn millis(self) -> Option<u64> {
        const DAY: u64 = 86_400_000;
        Some(match self {
            Unit::Unknown => return None,
            Unit::Second => 1000,
            Unit::Minute => 60_000,
            Unit::Hour => 3_600_000,
            Unit::Day => DAY,
            Unit::Week => 7 * DAY,
            Unit::Month => 30 * DAY,
            Unit::Year => 365 * DAY,
        })
    }

    /// The unit of so many milliseconds.
    pub fn of_millis(millis: u64) -> Unit {
        let found = Self::NAMES.iter().find(|(_, unit)| unit.millis() == Some(millis));
        found.map_or(Unit::Unknown, |(_, unit)| *unit)
    }
}

/// A unit as JSON has it: its name or its number.
fn unit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Name(String),
        Number(i32),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Name(name) => {
            let found = Unit::NAMES.iter().find(|(known, _)| *known == name);
            found.map(|(_, unit)| *unit as i32).ok_or_else(|| D::Error::custom("unknown unit"))
        }
    }
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Code {
    /// None.
    Unknown = 0,
    /// Within the limit.
    Ok = 1,
    /// Beyond it.
    OverLimit = 2,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitResponse {
    /// Over if one of them is.
    #[prost(enumeration = "Code", tag = "1")]
    #[serde(serialize_with = "code")]
    pub overall_code: i32,
    /// For each descriptor.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<DescriptorStatus>,
    /// Headers for whoever made the request.
    #[prost(message, repeated, tag = "3")]
    pub response_headers_to_add: Vec<Header>,
}

/// What is answered of a descriptor.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DescriptorStatus {
    /// The verdict.
    #[prost(enumeration = "Code", tag = "1")]
    #[serde(serialize_with = "code")]
    pub code: i32,
    /// The limit; none if no rule is meant.
    #[prost(message, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_limit: Option<Limit>,
    /// What remains of it.
    #[prost(uint32, tag = "3")]
    pub limit_remaining: u32,
    /// Until it is full again.
    #[prost(message, optional, tag = "4")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_until_reset: Option<Duration>,
}

/// A limit.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Limit {
    /// How much in a unit.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    /// Which unit, if the window is one.
    #[prost(enumeration = "Unit", tag = "2")]
    pub unit: i32,
    /// The rule's name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// A span of time: `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And a fraction.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A header.
#[derive(Clone, PartialEq, Eq, prost::Message, Serialize)]
pub struct Header {
    /// Its name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

fn code<S: Serializer>(code: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match Code::try_from(*code) {
        Ok(Code::Ok) => "OK",
        Ok(Code::OverLimit) => "OVER_LIMIT",
        _ => "UNKNOWN",
    })
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Limit", 3)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("requestsPerUnit", &self.requests_per_unit)?;
        let name = Unit::NAMES.iter().find(|(_, unit)| *unit as i32 == self.unit);
        fields.serialize_field("unit", name.map_or("UNKNOWN", |(name, _)| name))?;
        fields.end()
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = self.nanos / 1_000_000;
        serializer.collect_str(&match millis {
            0 => format!("{}s", self.seconds),
            millis => format!("{}.{millis:03}s", self.seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// Bytes as another implementation writes them.
    #[test]
    fn fields_have_their_numbers() {
        let entry = [&[0x0a, 1][..], b"k", &[0x12, 2], b"vw"].concat();
        let descriptor =
            [&[0x0a, entry.len() as u8][..], &entry, &[0x12, 4, 8, 9, 16, 2, 0x1a, 2, 8, 7, 32, 1]]
                .concat();
        let request =
            [&[0x0a, 1][..], b"d", &[0x12, descriptor.len() as u8], &descriptor, &[24, 5]].concat();
        let read = RateLimitRequest::decode(&*request).unwrap();
        let wanted = RateLimitRequest {
            domain: "d".to_owned(),
            descriptors: vec![Descriptor {
                entries: vec![Entry { key: "k".to_owned(), value: "vw".to_owned() }],
                limit: Some(Override { requests_per_unit: 9, unit: Unit::Minute as i32 }),
                hits_addend: Some(7),
                is_negative_hits: true,
            }],
            hits_addend: 5,
        };
        assert_eq!(read, wanted);
        assert_eq!(wanted.encode_to_vec(), request);
        let json = r#"{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"vw"}],
            "limit":{"requests_per_unit":9,"unit":"MINUTE"},"hitsAddend":7,"isNegativeHits":true}],
            "hitsAddend":5}"#;
        assert_eq!(serde_json::from_str::<RateLimitRequest>(json).unwrap(), wanted);
    }

    #[test]
    fn answers_are_json_as_protobuf_has_it() {
        let response = RateLimitResponse {
            overall_code: Code::OverLimit as i32,
            statuses: vec![DescriptorStatus {
                code: Code::Ok as i32,
                current_limit: Some(Limit {
                    requests_per_unit: 9,
                    unit: Unit::Week as i32,
                    name: "n".to_owned(),
                }),
                limit_remaining: 3,
                duration_until_reset: Some(Duration { seconds: 46, nanos: 7_000_000 }),
            }],
            response_headers_to_add: Vec::new(),
        };
        let json = serde_json::to_value(&response).unwrap();
        let wanted = serde_json::json!({
            "overallCode": "OVER_LIMIT",
            "statuses": [{
                "code": "OK",
                "currentLimit": {"name": "n", "requestsPerUnit": 9, "unit": "WEEK"},
                "limitRemaining": 3,
                "durationUntilReset": "46.007s",
            }],
            "responseHeadersToAdd": [],
        });
        assert_eq!(json, wanted);
    }

    #[test]
    fn any_bytes_are_answered() {
        let mut seed = 1u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..seed % 40)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 40) as u8
                })
                .collect();
            seed = seed.wrapping_add(1);
            let _ = RateLimitRequest::decode(&*bytes);
        }
    }
}
