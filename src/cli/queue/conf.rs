//! Kaldi's `conf/queue.conf` and `conf/slurm.conf`: what `--mem 4G` and the like mean to a scheduler.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::refused::Refused;

/// A conf file, read.
#[derive(Debug)]
pub(super) struct Conf {
    path: PathBuf,
    /// Of the line `command`: the program, and its arguments.
    program: String,
    arguments: String,
    options: Vec<Rule>,
    /// `default gpu=0`
    defaults: Vec<(String, String)>,
}

/// `option mem=* --mem $0`
#[derive(Debug)]
struct Rule {
    option: String,
    /// `None`: `*`, any value.
    value: Option<String>,
    arguments: String,
}

impl Conf {
    pub(super) fn read(path: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Refused::new(message, "`--config` names a file like Kaldi's conf/queue.conf")
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Refused> {
        let mut conf = Self {
            path: path.to_owned(),
            program: String::new(),
            arguments: String::new(),
            options: Vec::new(),
            defaults: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() && conf.line(line).is_none() {
                let message =
                    format!("{}:{}: not understood: `{line}`", path.display(), number + 1);
                let hint = "lines are `command qsub …`, `option mem=* -l mem_free=$0`, \
                            `option gpu=0` and `default gpu=0`; variables are not filled in";
                return Err(Refused::new(message, hint));
            }
        }
        if conf.program.is_empty() {
            let message = format!("{} has no line `command …`", path.display());
            return Err(Refused::new(message, "such as `command qsub -cwd` or `command sbatch`"));
        }
        Ok(conf)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(char::is_whitespace)?;
        let rest = rest.trim();
        let (first, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let arguments = arguments.trim();
        // A shell would fill these in; in a job script's directive nobody does.
        if arguments.replace("$0", "").contains(['$', '`']) {
            return None;
        }
        if kind == "command" {
            (self.program, self.arguments) = (first.to_owned(), arguments.to_owned());
            return Some(());
        }
        let (option, value) = first.split_once('=').filter(|(option, _)| !option.is_empty())?;
        let (option, value) = (option.to_owned(), value.to_owned());
        match kind {
            "option" => {
                let value = (value != "*").then_some(value);
                self.options.push(Rule { option, value, arguments: arguments.to_owned() });
            }
            "default" if arguments.is_empty() => self.defaults.push((option, value)),
            _ => return None,
        }
        Some(())
    }

    /// Whether it says what the option means.
    pub(super) fn knows(&self, option: &str) -> bool {
        self.options.iter().any(|rule| rule.option == option)
    }

    /// The directives of a job with these options and the conf's defaults for others. What it does not
    /// know is not its business.
    pub(super) fn directives(
        &self,
        env: &str,
        program: Option<&str>,
        given: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Refused> {
        self.fits(env, program)?;
        let mut options: BTreeMap<&str, &str> = BTreeMap::new();
        for (option, value) in &self.defaults {
            options.entry(option).or_insert(value);
        }
        options.extend(given.iter().map(|(option, value)| (option.as_str(), value.as_str())));
        let mut lines = directives(&self.arguments);
        for (option, value) in options {
            // How many may run at the same time is not for directives: it is `parallel.max_running`.
            if !self.knows(option) || option == "max_jobs_run" {
                continue;
            }
            let rules = self.options.iter().rev().filter(|rule| rule.option == option);
            let exact = rules.clone().find(|rule| rule.value.as_deref() == Some(value));
            let Some(rule) = exact.or_else(|| rules.clone().find(|rule| rule.value.is_none()))
            else {
                let path = self.path.display();
                let message = format!("{path} does not say what `{option}={value}` means");
                let hint = format!("add a line `option {option}=* …`, with $0 for the value");
                return Err(Refused::new(message, hint));
            };
            lines.extend(directives(&rule.arguments.replace("$0", value)));
        }
        Ok(lines)
    }

    /// # Errors
    /// Where it is for another scheduler.
    fn fits(&self, env: &str, program: Option<&str>) -> Result<(), Refused> {
        let Some(program) = program else {
            let message = format!("{} cannot be used on `{env}`", self.path.display());
            return Err(Refused::new(message, "say it in the `options` of a `--parallel` file"));
        };
        if self.program == program {
            return Ok(());
        }
        let path = self.path.display();
        let message = format!("{path} is for `{}`, and `{env}` has `{program}`", self.program);
        Err(Refused::new(message, "`--config` names another conf, `--backend` another scheduler"))
    }
}

/// One line for each option: `-q g.q -l gpu=1` are two.
fn directives(arguments: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in arguments.split_whitespace() {
        let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        // `-p -100` is a priority.
        let option = word.strip_prefix('-').is_some_and(|rest| !digit(rest));
        match lines.last_mut().filter(|_| !option) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: &str = "\
# Default configuration
command qsub -v PATH -cwd -S /bin/bash -j y -l arch=*64*
option mem=* -l mem_free=$0,ram_free=$0
option mem=0          # Do not add anything
option num_threads=* -pe smp $0
option num_threads=1
option max_jobs_run=* -tc $0
default gpu=0
option gpu=0 -q all.q
option gpu=* -l gpu=$0 -q g.q -p -100
";

    fn directives_of(text: &str, env: &str, given: &[(&str, &str)]) -> Result<String, String> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let program =
            crate::cluster::scheduler(env).and_then(|scheduler| scheduler.kaldi().program);
        Conf::parse(Path::new("conf/queue.conf"), text)
            .and_then(|conf| conf.directives(env, program, &given.collect()))
            .map(|lines| lines.join(" / "))
            .map_err(|refused| refused.to_string())
    }

    #[test]
    fn options_become_directives() {
        let command = "-v PATH / -cwd / -S /bin/bash / -j y / -l arch=*64*";
        for (given, wanted) in [
            (&[][..], " / -q all.q"),
            (&[("mem", "4G")], " / -q all.q / -l mem_free=4G,ram_free=4G"),
            (&[("mem", "0"), ("num_threads", "1")], " / -q all.q"),
            (&[("num_threads", "6")], " / -q all.q / -pe smp 6"),
            (&[("gpu", "2")], " / -l gpu=2 / -q g.q / -p -100"),
            (&[("max_jobs_run", "5"), ("who", "knows")], " / -q all.q"),
        ] {
            let lines = directives_of(QUEUE, "sge", given);
            assert_eq!(lines.as_deref(), Ok(format!("{command}{wanted}").as_str()), "{given:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        for (text, words) in [
            ("command qsub\noption mem\n", "conf/queue.conf:2: not understood: `option mem`"),
            ("command qsub -M $USER\n", "conf/queue.conf:1: not understood"),
            ("optoin mem=* x\n", "conf/queue.conf:1: not understood"),
            ("default gpu=0 -q x\n", "conf/queue.conf:1: not understood"),
            ("option mem=* -l m=$0\n", "has no line `command"),
            ("command sbatch\n", "is for `sbatch`, and `sge` has `qsub`"),
            ("command qsub\noption gpu=0\n", "does not say what `gpu=1` means"),
        ] {
            let error = directives_of(text, "sge", &[("gpu", "1")]).expect_err("it is refused");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
