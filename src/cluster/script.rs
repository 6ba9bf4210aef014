//! The job script that all dialects share: directives above, the task's command below.

use super::Order;

/// How many threads a library may start. Each would take all cores, in every worker.
pub(crate) const THREADS: [&str; 4] =
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"];

/// What a dialect knows that the task needs, as shell.
pub(super) struct Shell<'a> {
    /// The task's index from 0.
    pub task: &'a str,
    /// The second since 1970 at which the scheduler ends the task, where the scheduler tells; may
    /// expand to nothing.
    pub ends_at: Option<&'a str>,
}

/// Directives as dask-jobqueue arranges them: the generated ones but for those that
/// `job_directives_skip` names a part of, then the user's own lines as they are.
pub(super) fn directives(prefix: &str, generated: &[String], order: &Order<'_>) -> Vec<String> {
    let options = order.options;
    let kept = generated.iter().filter(|line| {
        let line = format!("{prefix} {line}");
        !options.skip.iter().any(|part| line.contains(part.as_str()))
    });
    kept.chain(&options.extra).map(|line| format!("{prefix} {line}")).collect()
}

/// The whole script: shebang, directives, body.
pub(super) fn script(order: &Order<'_>, directives: &[String], shell: &Shell<'_>) -> String {
    let options = order.options;
    let mut lines = vec![options.shebang.clone(), String::new()];
    lines.extend_from_slice(directives);
    lines.push(String::new());
    let threads = order.threads_per_worker;
    lines.push(format!("export {}", THREADS.map(|name| format!("{name}={threads}")).join(" ")));
    if let Some(folder) = &options.local_directory {
        // As dask's --local-directory: `$TMPDIR` in it is for the node to fill in.
        lines.push(format!("export TMPDIR={}", with_variables(folder)));
        lines.push("mkdir -p \"$TMPDIR\"".to_owned());
    }
    lines.push(format!("cd {} || exit 1", quote(order.recipe_dir)));
    lines.extend_from_slice(&options.prologue);
    let command = command(order, shell);
    if options.epilogue.is_empty() {
        // The task takes the place of the shell, so that signals reach it.
        lines.push(format!("exec {command}"));
    } else {
        lines.push(format!("{command} &"));
        lines.push("task=$!".to_owned());
        // A shell that waits is woken by a signal; one that runs a command hears it afterwards.
        lines.push("trap 'kill -TERM $task' TERM INT HUP USR1 USR2 XCPU".to_owned());
        lines.push("wait $task; code=$?".to_owned());
        lines.push("while kill -0 $task 2>/dev/null; do wait $task; code=$?; done".to_owned());
        lines.extend_from_slice(&options.epilogue);
        lines.push("exit $code".to_owned());
    }
    lines.join("\n") + "\n"
}

fn command(order: &Order<'_>, shell: &Shell<'_>) -> String {
    let mut words: Vec<String> = order.command.iter().map(|word| quote(word)).collect();
    words.push(format!("--task \"{}\"", shell.task));
    if let Some(limit) = order.options.time_limit {
        // Bash counts the seconds since it started: the prologue's are gone.
        words.push(format!("--time-limit \"$(({} - SECONDS))\"", limit.as_secs()));
    }
    if let Some(ends_at) = shell.ends_at {
        words.push(format!("--ends-at \"{ends_at}\""));
    }
    words.join(" ")
}

/// One word for bash, on one line whatever it holds: some schedulers look for directives in every
/// line of a script.
pub(crate) fn quote(word: &str) -> String {
    if !word.chars().any(char::is_control) {
        return shell_words::quote(word).into_owned();
    }
    let escaped: String = word
        .chars()
        .map(|c| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if c.is_control() && c.is_ascii() => format!("\\x{:02x}", c as u32),
            c => c.to_string(),
        })
        .collect();
    format!("$'{escaped}'")
}

/// One word for a shell, in which variables are filled in and nothing else is.
fn with_variables(word: &str) -> String {
    let mut quoted = String::from("\"");
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        let variable = c == '$'
            && rest.peek().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '{'));
        if matches!(c, '"' | '\\' | '`') || (c == '$' && !variable) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_one_line_and_one_word() {
        for word in ["plain", "two words", "it's", "a$b;c`d`", "new\nline", "\\", "naïve ü", ""] {
            let quoted = quote(word);
            assert_eq!(quoted.lines().count(), 1, "{quoted}");
            let echo = format!("printf %s {quoted}");
            let said = std::process::Command::new("bash").args(["-c", &echo]).output();
            assert_eq!(said.expect("bash starts").stdout, word.as_bytes(), "{quoted}");
        }
    }

    #[test]
    fn only_variables_are_filled_in() {
        assert_eq!(with_variables("$TMPDIR/x y"), "\"$TMPDIR/x y\"");
        assert_eq!(with_variables("${TMPDIR}/$(rm)"), "\"${TMPDIR}/\\$(rm)\"");
        assert_eq!(with_variables("`rm` \"$"), "\"\\`rm\\` \\\"\\$\"");
    }
}
