//! The words of the command line, as run.pl, queue.pl and slurm.pl read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::refused::Refused;
use crate::stages::Jobs;

const USAGE: &str =
    "for instance `espnet3-par queue --mem 4G JOB=1:4 exp/log/x.JOB.log COMMAND JOB`";

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub jobs: Jobs,
    /// `--mem 4G` as `mem`, `4G`; of an option that stands twice the last one, as in queue.pl.
    pub options: BTreeMap<String, String>,
    /// The scheduler's own, as they are: `-q all.q`.
    pub own: Vec<String>,
    pub max_jobs_run: Option<u32>,
    pub backend: Option<String>,
    pub parallel: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub resume: bool,
    pub dry_run: bool,
    pub quiet: bool,
}

impl Asked {
    pub(super) fn read(words: &[String]) -> Result<Self, Refused> {
        let mut asked = Self::default();
        let mut words = words.iter();
        // Options may stand on either side of `JOB=1:4`.
        let log = loop {
            let word = words.next().ok_or_else(|| incomplete("there is no log file"))?;
            if word.len() > 1 && word.starts_with('-') {
                asked.option(word, &mut words)?;
            } else if asked.jobs.variable.is_some() || !asked.range(word)? {
                break word;
            }
        };
        let command: Vec<&str> = words.map(String::as_str).collect();
        if command.is_empty() {
            return Err(incomplete(&format!("there is no command behind the log file `{log}`")));
        }
        if asked.jobs.variable.is_none() {
            (asked.jobs.first, asked.jobs.last) = (1, 1);
        }
        asked.jobs.log = log.clone();
        asked.jobs.command = quoted(&command);
        asked.one_log_each()?;
        Ok(asked)
    }

    fn option<'a>(
        &mut self,
        option: &str,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), Refused> {
        match option {
            "--resume" => self.resume = true,
            "--dry-run" => self.dry_run = true,
            "--quiet" => self.quiet = true,
            "-V" => self.own.push(option.to_owned()),
            _ => {
                let mut value =
                    || words.next().ok_or_else(|| incomplete(&format!("`{option}` has no value")));
                let first = value()?;
                match option {
                    "--backend" => self.backend = Some(first.clone()),
                    "--parallel" => self.parallel = Some(first.into()),
                    "--config" => self.config = Some(first.into()),
                    "--max-jobs-run" | "--max_jobs_run" | "-tc" => self.at_most(option, first)?,
                    "--pick" if first != "all" => {
                        let message = format!("`--pick {first}` is not known here");
                        let hint = "`--resume` runs what failed or was not done";
                        return Err(Refused::new(message, hint));
                    }
                    "--pick" | "-sync" => {}
                    "-pe" => {
                        let slots = value()?;
                        self.options.insert("num_threads".to_owned(), slots.clone());
                        self.own.push(format!("-pe {first} {slots}"));
                    }
                    _ => match option.strip_prefix("--") {
                        Some(name) => {
                            self.options.insert(name.replace('-', "_"), first.clone());
                        }
                        None => self.own.push(format!("{option} {first}")),
                    },
                }
            }
        }
        Ok(())
    }

    /// Of several limits the smallest counts, as in run.pl.
    fn at_most(&mut self, option: &str, value: &str) -> Result<(), Refused> {
        let most = value.parse().ok().filter(|most| *most > 0).ok_or_else(|| {
            let message = format!("`{option} {value}`: not a number of jobs");
            Refused::new(message, "a whole number, 1 or more")
        })?;
        self.max_jobs_run = Some(self.max_jobs_run.map_or(most, |known| known.min(most)));
        Ok(())
    }

    /// Whether this is `JOB=1:4` or `JOB=5`.
    fn range(&mut self, word: &str) -> Result<bool, Refused> {
        let is_word = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        let Some((variable, range)) = word.split_once('=').filter(|(name, _)| is_word(name)) else {
            return Ok(false);
        };
        if !range.chars().all(|c| c.is_ascii_digit() || c == ':') {
            return Ok(false);
        }
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse(), last.parse::<u64>()) else {
            let message = format!("`{word}` is not a range of jobs");
            return Err(Refused::new(
                message,
                format!("as in `{variable}=1:4`; is a variable empty?"),
            ));
        };
        if first < 1 || last < first || last - first >= u64::from(u32::MAX) {
            let message = format!("`{word}` is not a range of jobs");
            let hint = format!("jobs are counted from 1, upwards: `{variable}=1:4`");
            return Err(Refused::new(message, hint));
        }
        self.jobs.variable = Some(variable.to_owned());
        (self.jobs.first, self.jobs.last) = (first, last);
        Ok(true)
    }

    fn one_log_each(&self) -> Result<(), Refused> {
        let Jobs { variable, log, .. } = &self.jobs;
        if let Some(variable) = variable
            && self.jobs.count() > 1
            && !log.contains(variable.as_str())
        {
            let message = format!("{} jobs would write to the one log {log}", self.jobs.count());
            let hint = format!("put `{variable}` into its name, as in exp/log/x.{variable}.log");
            return Err(Refused::new(message, hint));
        }
        if log.starts_with("/dev/") || log.ends_with('/') {
            let hint = "give each job a file of its own; the run is kept beside it, in q/";
            return Err(Refused::new(format!("`{log}` is no place for a log"), hint));
        }
        Ok(())
    }

    /// A number of something.
    pub(super) fn number(&self, option: &str) -> Result<Option<u32>, Refused> {
        let Some(value) = self.options.get(option) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            let message = format!("`{}`: not a number", self.typed(option));
            Refused::new(message, "a whole number, 0 or more")
        })
    }

    /// An option as a person types it.
    pub(super) fn typed(&self, option: &str) -> String {
        let value = self.options.get(option).map_or("", String::as_str);
        format!("--{} {value}", option.replace('_', "-"))
    }

    /// Where the run is kept: in `q/` beside the logs, as queue.pl keeps its files. The variable stays
    /// in the name: `x.log` and `x.JOB.log` may be written at the same time.
    pub(super) fn run_dir(&self) -> PathBuf {
        let log = Path::new(&self.jobs.log);
        let has_number = |path: &Path| {
            let variable = self.jobs.variable.as_deref();
            variable.is_some_and(|variable| path.to_string_lossy().contains(variable))
        };
        let mut folder = log.parent().unwrap_or(Path::new(""));
        while has_number(folder) {
            folder = folder.parent().unwrap_or(Path::new(""));
        }
        let below = log.strip_prefix(folder).unwrap_or(log).to_string_lossy().replace('/', ".");
        folder.join("q").join(below.strip_suffix(".log").unwrap_or(&below))
    }
}

fn incomplete(what: &str) -> Refused {
    Refused::new(format!("queue: {what}"), USAGE)
}

/// The command for bash, with the quotes that Kaldi's scripts put: none around a word without blanks,
/// so `|`, `>` and `$x` mean what they mean to bash; `"` around others, `'` where they have a `"`.
fn quoted(words: &[&str]) -> String {
    // Perl's \s; and its $ also matches before a last newline.
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
    let quote = |word: &&str| {
        let inner = word.strip_suffix('\n').unwrap_or(word);
        if !inner.is_empty() && !inner.contains(blank) {
            (*word).to_owned()
        } else if word.contains('"') {
            format!("'{word}'")
        } else {
            format!("\"{word}\"")
        }
    };
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Asked, String> {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        Asked::read(&words).map_err(|refused| refused.to_string())
    }

    #[test]
    fn words_get_the_quotes_that_kaldi_puts() {
        for (words, command) in [
            (&["echo", "a b"][..], "echo \"a b\""),
            (&["cat", "x", "|", "wc", ">y"], "cat x | wc >y"),
            (&["awk", "{print \"x\"}", "f"], "awk '{print \"x\"}' f"),
            (
                &["copy-feats", "ark:gunzip -c x.gz|", "ark:-"],
                "copy-feats \"ark:gunzip -c x.gz|\" ark:-",
            ),
            (&["a", ""], "a \"\""),
            (&["a", "x\n"], "a x\n"),
            (&["a", "x\ny"], "a \"x\ny\""),
            (&["echo", "$HOME is"], "echo \"$HOME is\""),
        ] {
            assert_eq!(quoted(words), command);
        }
    }

    #[test]
    fn options_stand_on_both_sides_of_the_range() {
        let line =
            ["--mem", "4G", "-q", "all.q", "JOB=2:9", "--num-threads", "3", "-pe", "smp", "2"];
        let asked = read(&[&line[..], &["-V", "-tc", "5", "l.JOB", "-x", "JOB"]].concat())
            .expect("a good line");
        assert_eq!((asked.jobs.first, asked.jobs.last, asked.jobs.count()), (2, 9, 8));
        assert_eq!(asked.jobs.command, "-x JOB");
        assert_eq!(asked.own, ["-q all.q", "-pe smp 2", "-V"]);
        assert_eq!(asked.max_jobs_run, Some(5));
        assert_eq!(asked.options["mem"], "4G");
        assert_eq!(asked.options["num_threads"], "2");
    }

    #[test]
    fn a_name_is_replaced_wherever_it_stands() {
        let asked = read(&["N=7", "exp/N/x.N.log", "echo", "fooNbar", "N.N"]).expect("a good line");
        assert_eq!(asked.jobs.log_of(7), "exp/7/x.7.log");
        assert_eq!(asked.run_dir(), Path::new("exp/q/N.x.N"));
        let one = read(&["exp/log/x.log", "true"]).expect("a good line");
        assert_eq!((one.jobs.count(), one.jobs.variable.clone()), (1, None));
        assert_eq!(one.run_dir(), Path::new("exp/log/q/x"));
    }

    #[test]
    fn lines_that_cannot_be_meant() {
        for (line, words) in [
            (&["JOB=0:3", "x.JOB", "true"][..], "not a range"),
            (&["JOB=3:2", "x.JOB", "true"], "not a range"),
            (&["JOB=1:", "x.JOB", "true"], "not a range"),
            (&["JOB=1:3", "x.log", "true"], "3 jobs would write to the one log x.log"),
            (&["JOB=1:3", "x.JOB"], "no command"),
            (&["--mem"], "`--mem` has no value"),
            (&[], "no log file"),
            (&["--max-jobs-run", "0", "x", "y"], "not a number of jobs"),
            (&["/dev/null", "true"], "no place for a log"),
        ] {
            let error = read(line).expect_err("it is refused");
            assert!(error.contains(words), "{line:?}: {error}");
        }
        // A log's name may have both; run.pl only wonders.
        assert!(read(&["lr=0.1:x.log", "true"]).is_ok());
    }
}
