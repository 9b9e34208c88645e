//! The page: one file, without scripts, that loads nothing and prints well.

use chancery_ledger::verify::{Trust, YesNo};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::gather::{Entry, Evidence, in_words};

/// Nothing is loaded and nothing runs, whatever an event says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ccc; }
.verdict { border: 2px solid; border-radius: 6px; padding: .6rem 1rem; margin: 1.2rem 0; }
.whole { border-color: #1b7a3d; background: #eef8f1; } .broken { border-color: #b3261e; background: #fdeeed; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #e4e4e4; }
th { font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: 12px/1.45 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; } pre { background: #f6f6f6; padding: .5rem; margin: .3rem 0; }
.event { border-left: 3px solid #9db4c8; padding: 0 0 .2rem .8rem; margin: 1rem 0; } .event p { margin: .1rem 0; }
.quiet { color: #5c5c5c; }
@media print { body { margin: 0; max-width: none; font-size: 10pt; } .event, tr, .verdict { break-inside: avoid; } h2 { break-after: avoid; } pre { background: none; border: 1px solid #ddd; } }
";

/// The page of a bundle.
pub fn page(evidence: &Evidence) -> Markup {
    let origin = &evidence.manifest.origin;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "Evidence from " (origin) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Evidence from " (origin) }
                p.quiet { "The ledger's first " (evidence.manifest.size) " events, as far as they were asked for" }
                (verdict(evidence))
                (asked(evidence))
                (doings(evidence))
                (timeline(evidence))
                (proof(evidence))
                (repeat(evidence))
            }
        }
    }
}

fn verdict(evidence: &Evidence) -> Markup {
    let report = &evidence.report;
    let trust = match report.trust {
        Trust::Given => "the key that the reader gave",
        Trust::Pinned => "the key that the reader had pinned",
        Trust::SelfNamed => "a key that the ledger names itself: that it is this ledger's is not shown",
    };
    let checks = [
        ("Every event shown is authentic", report.checks.events_authentic),
        ("Nothing was moved, repeated or put in, and time never ran backwards", report.checks.chain_whole),
        ("The checkpoint is of exactly these events", report.checks.tree_consistent),
        ("The keys that sealed them are the ledger's", report.checks.keys_consistent),
    ];
    html! {
        section.verdict.(if report.whole { "whole" } else { "broken" }) id="verdict" {
            p { strong { @if report.whole { "Whole" } @else { "Not whole" } } ", verified by chancery " (env!("CARGO_PKG_VERSION")) }
            table {
                @for (what, answer) in checks {
                    tr { td { (what) } td { (yes_no(answer)) } }
                }
                @if let Some(bundle) = &report.bundle {
                    tr { td { "Nothing that was asked for is missing from the range" } td { (shown(bundle.complete)) } }
                    @if bundle.choice.from_time.is_some() || bundle.choice.to_time.is_some() {
                        tr { td { "The range is all of the period" } td { (shown(bundle.period_complete)) } }
                    }
                }
                tr { td { "Sealed by" } td { (trust) } }
                tr { td { "A tail cut off is excluded up to" } td {
                    @match report.truncation_excluded_to { Some(size) => { (size) " events" } None => { "not shown" } }
                } }
            }
            @if !report.findings.is_empty() {
                p { "Found against it (" (report.findings_total) "):" }
                ul { @for finding in &report.findings { li { (finding) } } }
            }
        }
    }
}

fn yes_no(answer: YesNo) -> &'static str {
    if answer == YesNo::Yes { "yes" } else { "no" }
}

fn shown(answer: YesNo) -> &'static str {
    if answer == YesNo::Yes { "yes" } else { "not shown" }
}

fn asked(evidence: &Evidence) -> Markup {
    let choice = &evidence.manifest.choice;
    html! {
        section {
            h2 { "What was asked for" }
            table {
                tr { th { "Events" } td { (choice.first) " up to, but without, " (choice.end) } }
                @if let Some(time) = choice.from_time { tr { th { "From" } td { (time) } } }
                @if let Some(time) = choice.to_time { tr { th { "To" } td { (time) } } }
                @if let Some(tenant) = choice.tenant { tr { th { "Tenant" } td { code { (tenant) } } } }
                @for thing in &choice.things { tr { th { "About" } td { (thing.kind.name()) " " code { (thing.id) } } } }
                @if let Some(seq) = evidence.manifest.recorded { tr { th { "Asked by whom" } td { "says event " (seq) } } }
            }
            h3 { "What the bundle says it proves" }
            ul { @for sentence in &evidence.manifest.proves { li { (sentence) } } }
            h3 { "What it does not" }
            ul { @for sentence in &evidence.manifest.does_not_prove { li { (sentence) } } }
        }
    }
}

fn doings(evidence: &Evidence) -> Markup {
    html! {
        section id="who" {
            h2 { "Who did what" }
            table {
                tr { th { "Who" } th { "What" } th { "How often" } }
                @for (who, doings) in &evidence.doings {
                    @for (what, count) in doings {
                        tr { td { (who) } td { (what) } td.number { (count) } }
                    }
                }
            }
            @if let Some(bundle) = &evidence.report.bundle {
                h3 { "By kind" }
                table { @for (code, count) in &bundle.kinds { tr { td { (in_words(*code)) } td.number { (count) } } } }
                p.quiet { (bundle.chosen) " events were asked for; " (bundle.beside) " more are in the bundle to prove them." }
            }
        }
    }
}

fn timeline(evidence: &Evidence) -> Markup {
    let chosen = evidence.report.bundle.as_ref().map_or(0, |bundle| bundle.chosen);
    let more = chosen.saturating_sub(evidence.timeline.len() as u64);
    html! {
        section id="timeline" {
            h2 { "Timeline" }
            @for entry in &evidence.timeline { (event(entry)) }
            @if more > 0 { p { "… and " (more) " later events, which the bundle holds and this page does not show." } }
        }
    }
}

fn event(entry: &Entry) -> Markup {
    html! {
        article.event id={ "event-" (entry.seq) } {
            p { strong { (entry.what) } " by " (entry.who) }
            p.quiet { (entry.time) " · event " (entry.seq) }
            @for subject in &entry.subjects { p.quiet { (subject) } }
            @match &entry.facts {
                Ok(facts) => { pre { (facts) } }
                Err(why) => { p.quiet { (why) } }
            }
            p.quiet { "hash " code { (entry.hash) } }
        }
    }
}

fn proof(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "The proof" }
            table {
                tr { th { "File" } td { (evidence.name) ", " (evidence.bytes) " bytes" } }
                tr { th { "SHA-256" } td { code { (evidence.sha256) } } }
                @for key in &evidence.report.keys {
                    tr { th { "Key from size " (key.from_size) } td { code { (key.verifier_key) } } }
                }
            }
            @if let Some(checkpoint) = &evidence.checkpoint { p { "Checkpoint:" } pre { (checkpoint) } }
        }
    }
}

fn repeat(evidence: &Evidence) -> Markup {
    let key = evidence.report.keys.first().map_or("KEY", |key| &key.verifier_key);
    html! {
        section id="repeat" {
            h2 { "How to repeat this" }
            p { "Take the bundle itself, not this page: a page can say anything. Compare its SHA-256, get the ledger's key from somebody \
                 whom you trust, and compare it with the one here. Then, with no network and no daemon:" }
            pre { "chancery verify '" (evidence.name) "' --key '" (key) "'" }
            p { "or, with a second verifier that shares no code with the first, and needs Python and its packages blake3 and cryptography:" }
            pre { "python3 chancery_verify.py '" (evidence.name) "' --key '" (key) "'" }
            p { "What each byte means, well enough to write a third: docs/format.md, section 17." }
        }
    }
}
