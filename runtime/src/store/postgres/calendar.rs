//! Months and days in UTC, in the Gregorian calendar
//! (<https://howardhinnant.github.io/date_algorithms.html>).

use crate::store::options::Partition;

const DAY_NS: i64 = 86_400_000_000_000;

/// A span of time that one partition holds: the days since 1970 of its first day and of the day after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Period {
    /// The month or day that a time lies in.
    pub(super) fn of(ns: i64, partition: Partition) -> Self {
        let day = ns.div_euclid(DAY_NS);
        match partition {
            Partition::Day => Self { from: day, to: day + 1 },
            Partition::Month => {
                let (year, month, _) = civil(day);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Self { from: days(year, month, 1), to: days(next.0, next.1, 1) }
            }
        }
    }

    /// The one after it.
    pub(super) fn next(self, partition: Partition) -> Self {
        Self::of(self.to.saturating_mul(DAY_NS), partition)
    }

    /// Its first and last instant, in nanoseconds since 1970; the last is not in it.
    pub(super) fn ns(self) -> (i64, i64) {
        (self.from.saturating_mul(DAY_NS), self.to.saturating_mul(DAY_NS))
    }

    /// `execution_traces_y2026m11`, or with `d21` for a day.
    pub(super) fn table(self) -> String {
        let (year, month, day) = civil(self.from);
        if self.to - self.from == 1 {
            format!("execution_traces_y{year:04}m{month:02}d{day:02}")
        } else {
            format!("execution_traces_y{year:04}m{month:02}")
        }
    }

    /// The bounds as SQL literals.
    pub(super) fn bounds(self) -> (String, String) {
        (instant(self.from), instant(self.to))
    }
}

fn instant(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("'{year:04}-{month:02}-{day:02} 00:00:00+00'")
}

/// Year, month and day of a day since 1970-01-01.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

/// The day since 1970-01-01 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_there_and_back() {
        for day in (-800_000..800_000).step_by(13) {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), day);
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(days(2024, 2, 29) + 1, days(2024, 3, 1));
    }

    #[test]
    fn periods_follow_one_another() {
        let december = Period::of(days(2026, 12, 31) * DAY_NS + DAY_NS - 1, Partition::Month);
        assert_eq!(december.table(), "execution_traces_y2026m12");
        assert_eq!(december.bounds(), ("'2026-12-01 00:00:00+00'".into(), "'2027-01-01 00:00:00+00'".into()));
        let january = december.next(Partition::Month);
        assert_eq!((january.table().as_str(), january.from), ("execution_traces_y2027m01", december.to));
        let day = Period::of(days(2028, 2, 29) * DAY_NS, Partition::Day);
        assert_eq!(
            (day.table(), day.next(Partition::Day).table()),
            ("execution_traces_y2028m02d29".into(), "execution_traces_y2028m03d01".into())
        );
    }
}
