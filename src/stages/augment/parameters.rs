//! Parameters in the forms that ESPnet's recipes have.

use std::ops::RangeInclusive;

use serde::Deserialize;

/// One speed: 1.1 is a tenth faster, and higher.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factor {
    /// As it was written.
    pub(super) value: f64,
    /// In thousandths.
    pub(super) thousandths: u32,
}

impl Factor {
    /// What Kaldi and ESPnet put before ids of utterances and speakers: `sp0.9-`, and nothing at
    /// full speed.
    pub(super) fn prefix(self) -> String {
        if self.is_one() { String::new() } else { format!("sp{}-", self.value) }
    }

    pub(super) fn is_one(self) -> bool {
        self.thousandths == 1000
    }
}

/// `speed_perturb_factors`: a list, or text as in ESPnet's `asr.sh`: `"0.9 1.0 1.1"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "NumberTextOrList")]
pub struct Factors(pub(super) Vec<Factor>);

impl Default for Factors {
    fn default() -> Self {
        Self(vec![Factor { value: 1.0, thousandths: 1000 }])
    }
}

impl TryFrom<NumberTextOrList> for Factors {
    type Error = String;

    fn try_from(given: NumberTextOrList) -> Result<Self, String> {
        const RANGE: RangeInclusive<f64> = 0.1..=10.0;
        let mut factors: Vec<Factor> = Vec::new();
        for value in given.numbers(char::is_whitespace)? {
            let thousandths = (value * 1000.0).round();
            if !RANGE.contains(&value) || (value * 1000.0 - thousandths).abs() > 1e-6 {
                return Err(format!(
                    "a speed of {value}; factors are from 0.1 to 10, with three decimals at most"
                ));
            }
            let factor = Factor { value, thousandths: thousandths as u32 };
            if factors.contains(&factor) {
                return Err(format!("the factor {value} twice"));
            }
            factors.push(factor);
        }
        if factors.is_empty() {
            return Err("no factors".to_owned());
        }
        Ok(Self(factors))
    }
}

/// `noise_db_range`: a signal-to-noise ratio in dB, or ESPnet's form of a range: `"13_15"`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "NumberTextOrList")]
pub struct DbRange {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl DbRange {
    /// The ratio at `place` in `[0, 1)`, in hundredths of a dB: a record has it to the digit.
    pub(super) fn at(self, place: f64) -> f64 {
        ((self.low + place * (self.high - self.low)) * 100.0).round() / 100.0
    }
}

impl TryFrom<NumberTextOrList> for DbRange {
    type Error = String;

    fn try_from(given: NumberTextOrList) -> Result<Self, String> {
        let (low, high) = match given.numbers(|letter| letter == '_')?[..] {
            [both] => (both, both),
            [low, high] => (low, high),
            _ => return Err("expected dB such as \"13_15\" or 15".to_owned()),
        };
        if low > high || low < -100.0 || high > 100.0 {
            // YAML 1.1 takes the underscore in a number for a separator.
            return Err(format!(
                "from {low} dB to {high} dB; a range is text, in quotes: \"13_15\""
            ));
        }
        Ok(Self { low, high })
    }
}

/// What YAML may make of numbers.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number, numbers in a text, or a list of numbers")]
enum NumberTextOrList {
    Number(f64),
    Text(String),
    List(Vec<f64>),
}

impl NumberTextOrList {
    fn numbers(self, separates: impl Fn(char) -> bool) -> Result<Vec<f64>, String> {
        match self {
            Self::Number(number) => Ok(vec![number]),
            Self::List(numbers) => Ok(numbers),
            Self::Text(text) => {
                let words = text.split(separates).filter(|word| !word.is_empty());
                let number =
                    |word: &str| word.parse().ok().filter(|number: &f64| number.is_finite());
                words.map(|word| number(word).ok_or(format!("`{word}` is no number"))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn error<T: for<'de> Deserialize<'de> + std::fmt::Debug>(value: Value) -> String {
        from_value::<T>(value).expect_err("should not be taken").to_string()
    }

    #[test]
    fn factors_in_all_forms() {
        for form in [json!([0.9, 1.0, 1.1]), json!("0.9 1.0 1.1"), json!(" 0.90 1 1.10")] {
            let Factors(factors) = from_value(form).expect("factors");
            let prefixes: Vec<_> = factors.iter().map(|factor| factor.prefix()).collect();
            assert_eq!(prefixes, ["sp0.9-", "", "sp1.1-"]);
            assert_eq!(factors[2].thousandths, 1100);
        }
        assert_eq!(from_value::<Factors>(json!(1.2)).expect("one").0.len(), 1);
        assert_eq!(error::<Factors>(json!([0.9, 0.9])), "the factor 0.9 twice");
        assert_eq!(error::<Factors>(json!("")), "no factors");
        assert_eq!(error::<Factors>(json!("0.9,1.1")), "`0.9,1.1` is no number");
        for wrong in [json!(0.05), json!([90, 110]), json!(0.9999), json!("NaN")] {
            let said = error::<Factors>(wrong);
            assert!(said.starts_with("a speed of") || said == "`NaN` is no number", "{said}");
        }
        assert!(error::<Factors>(json!({"a": 1})).starts_with("expected a number, numbers in"));
    }

    #[test]
    fn ranges_in_espnets_form() {
        let range = |value| from_value::<DbRange>(value).expect("a range");
        assert_eq!(range(json!("13_15")), DbRange { low: 13.0, high: 15.0 });
        assert_eq!(range(json!("-5.5_5")), DbRange { low: -5.5, high: 5.0 });
        assert_eq!(range(json!(15)), range(json!("15")));
        assert_eq!((range(json!("13_15")).at(0.0), range(json!("13_15")).at(0.7513)), (13.0, 14.5));
        // `13_15` without quotes is 1315 in YAML 1.1.
        let quotes = "from 1315 dB to 1315 dB; a range is text, in quotes: \"13_15\"";
        assert_eq!(error::<DbRange>(json!(1315)), quotes);
        for wrong in [json!("15_13"), json!("1_2_3"), json!(""), json!("13-15")] {
            error::<DbRange>(wrong);
        }
    }
}
