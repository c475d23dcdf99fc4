//! What to look at: one tree. A plan is made and carried out, each function is one line, the time it took is the bar
//! beside it, and the step that fails is red, with its error, on every level that it passed through.
//!
//! ```sh
//! cargo run --example planning
//! THROUGHLINE_CONSOLE_FORMAT=json cargo run --example planning     # the same spans as JSON lines
//! RUST_LOG=debug cargo run --example planning                      # more log lines, each with its trace_id
//! ```

use std::error::Error;
use std::time::Duration;

use throughline::{record, setup_tracing, traced_span};
use throughline_examples::say;

/// A step that could not be carried out.
#[derive(Debug)]
enum StepError {
    ModelUnavailable { model: &'static str },
}

impl std::fmt::Display for StepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ModelUnavailable { model } => write!(f, "model {model} is not loaded"),
        }
    }
}

impl Error for StepError {}

struct Task {
    id: &'static str,
    goal: &'static str,
}

struct Step {
    number: usize,
    prompt: String,
    model: &'static str,
}

#[traced_span("planning.generate_plan", fields(task.id = task.id))]
async fn generate_plan(task: &Task) -> Result<Vec<String>, StepError> {
    let difficulty = analyze_task(task);
    let steps = decompose_task(task, difficulty);
    let mut answers = Vec::new();
    for step in &steps {
        answers.push(execute_step(step).await?);
    }
    Ok(answers)
}

#[traced_span("planning.analyze_task", fields(task.id = task.id))]
fn analyze_task(task: &Task) -> usize {
    let difficulty = task.goal.split_whitespace().count();
    // Found only here, so it is recorded here: `record!` needs no declaration.
    record!("task.difficulty" = difficulty);
    difficulty
}

#[traced_span("planning.decompose_task", fields(task.id = task.id, difficulty))]
fn decompose_task(task: &Task, difficulty: usize) -> Vec<Step> {
    let parts: Vec<&str> = task.goal.split(", ").take(difficulty).collect();
    let last = parts.len();
    let steps = parts.iter().enumerate().map(|(index, part)| Step {
        number: index + 1,
        prompt: format!("Do this: {part}"),
        model: if index + 1 == last { "llama-405b" } else { "llama-8b" },
    });
    steps.collect()
}

#[traced_span("execution.execute_step", fields(step.number = step.number))]
async fn execute_step(step: &Step) -> Result<String, StepError> {
    tracing::info!(step = step.number, "executing");
    let answer = generate(step.model, &step.prompt).await;
    if let Err(error) = &answer {
        tracing::error!(step = step.number, %error, "giving up");
    }
    answer
}

#[traced_span("ollama.generate", kind = client, fields("gen_ai.request.model" = model, prompt.chars = prompt.len()))]
async fn generate(model: &'static str, prompt: &str) -> Result<String, StepError> {
    // In place of a request to a model: small ones answer, the large one is not there.
    tokio::time::sleep(Duration::from_millis(10)).await;
    if model.ends_with("405b") {
        return Err(StepError::ModelUnavailable { model });
    }
    Ok(format!("done: {prompt}"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), throughline::SetupError> {
    let telemetry = setup_tracing("planner")?;
    let task = Task { id: "task-17", goal: "book a train to Vienna, find a hotel, write the report" };
    if let Err(error) = generate_plan(&task).await {
        say(format_args!("the plan failed, as it should here: {error}"));
    }
    let report = telemetry.shutdown_async(Duration::from_secs(5)).await;
    say(report);
    Ok(())
}
