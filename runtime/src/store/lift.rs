//! Which attributes become the columns `task_id`, `plan_id`, `agent_id` and `tool_id`.

use std::fmt;

/// The attributes that are lifted out of a span as its ids. The first one that is there is taken.
///
/// | id | attributes |
/// |---|---|
/// | `task_id` | `task_id`, `task.id` |
/// | `plan_id` | `plan_id`, `plan.id` |
/// | `agent_id` | `agent_id`, `gen_ai.agent.id` |
/// | `tool_id` | `tool_id`, `gen_ai.tool.name` |
///
/// `THROUGHLINE_LIFT` names others, alternatives separated by `|`; an id that it does not name keeps its own:
///
/// ```
/// use throughline::store::Lift;
///
/// let lift: Lift = "task_id=job.id|task_id,agent_id=worker".parse()?;
/// assert_eq!(lift.to_string(), "task_id=job.id|task_id,plan_id=plan_id|plan.id,agent_id=worker,tool_id=tool_id|gen_ai.tool.name");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lift {
    pub(crate) keys: [Vec<String>; 4],
}

/// The columns, in their order.
pub(crate) const IDS: [&str; 4] = ["task_id", "plan_id", "agent_id", "tool_id"];

/// Longest id, in bytes; anything longer stays an attribute only.
pub(crate) const LONGEST_ID: usize = 255;

impl Default for Lift {
    fn default() -> Self {
        let keys = |list: [&str; 2]| list.map(str::to_owned).to_vec();
        Self {
            keys: [
                keys(["task_id", "task.id"]),
                keys(["plan_id", "plan.id"]),
                keys(["agent_id", "gen_ai.agent.id"]),
                keys(["tool_id", "gen_ai.tool.name"]),
            ],
        }
    }
}

impl std::str::FromStr for Lift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "`task_id=ATTRIBUTE|ATTRIBUTE,plan_id=..`, with `agent_id` and `tool_id`".to_owned();
        let mut lift = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, keys) = entry.split_once('=').ok_or_else(expected)?;
            let keys: Vec<String> =
                keys.split('|').map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
            let slot = IDS.iter().zip(&mut lift.keys).find(|(name, _)| **name == id.trim());
            match slot {
                Some((_, slot)) if !keys.is_empty() => *slot = keys,
                _ => return Err(expected()),
            }
        }
        Ok(lift)
    }
}

impl fmt::Display for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (id, keys)) in IDS.iter().zip(&self.keys).enumerate() {
            write!(f, "{}{id}={}", if index > 0 { "," } else { "" }, keys.join("|"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ids_and_empty_lists_are_refused() {
        for wrong in ["task", "job_id=x", "task_id=", "task_id=|"] {
            assert!(wrong.parse::<Lift>().is_err(), "{wrong}");
        }
        assert_eq!("".parse(), Ok(Lift::default()));
    }
}
