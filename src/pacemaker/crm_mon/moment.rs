//! Times as `crm_mon` prints them, in two forms beside each other.

/// A second, as the clock on the wall shows it where `crm_mon` runs: year, month, day, and the time of the day.
pub(super) type Moment = (u16, u8, u8, (u8, u8, u8));

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sun Nov 22 23:13:09 2026`, as in the history, or `2026-11-22 23:13:09 +01:00`, as among the failures.
pub(super) fn read(text: &str) -> Option<Moment> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [_, month, day, time, year] => {
            let month = MONTHS.iter().position(|name| name == month)?;
            Some((year.parse().ok()?, u8::try_from(month + 1).ok()?, day.parse().ok()?, of_day(time)?))
        }
        [date, time, ..] => {
            let mut parts = date.split('-');
            let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
            Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?, of_day(time)?))
        }
        _ => None,
    }
}

fn of_day(text: &str) -> Option<(u8, u8, u8)> {
    let mut parts = text.trim_end_matches('Z').split(':');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn both_forms_are_read() {
        let moment = Some((2026, 11, 2, (23, 13, 9)));
        let forms = ["Mon Nov  2 23:13:09 2026", "2026-11-02 23:13:09Z", "2026-11-02 23:13:09 +01:00"];
        forms.into_iter().for_each(|text| assert_eq!(read(text), moment, "{text}"));
        let others = ["", "yesterday", "2026-11-02", "Mon Non 2 23:13:09 2026"];
        others.into_iter().for_each(|text| assert_eq!(read(text), None, "{text}"));
    }
}
