//! Compliance (contract rows 27 and 28).

use chancery_ledger::time::Micros;
use serde::Serialize;

use super::Time;
use crate::compliance::{Finding, Status};

/// The version of the report's shape.
const SCHEMA_VERSION: &str = "1.0";

/// Whether controls hold.
#[derive(Debug, Serialize)]
pub struct Controls {
    /// Each.
    pub controls: Vec<Control>,
}

/// A control.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Control {
    id: &'static str,
    name: &'static str,
    status: Status,
    last_checked: Time,
    details: String,
}

impl Control {
    /// What was found of it.
    #[must_use]
    pub fn of(id: &'static str, name: &'static str, found: Finding, now: Micros) -> Self {
        Self { id, name, status: found.status, last_checked: Time(now), details: found.details }
    }
}

/// A report for an organisation. The vendor spells its members otherwise than everything else.
#[derive(Debug, Serialize)]
pub struct Report {
    generated_at: Time,
    tenant_id: String,
    agntcy_schema_version: &'static str,
    sections: Vec<Section>,
    overall_status: Status,
}

/// A part of a report.
#[derive(Debug, Serialize)]
pub struct Section {
    name: &'static str,
    status: Status,
    details: String,
}

impl Section {
    /// What was found.
    #[must_use]
    pub fn of(name: &'static str, found: Finding) -> Self {
        Self { name, status: found.status, details: found.details }
    }
}

impl Report {
    /// Its sections; as a whole it is as good as the worst of them.
    #[must_use]
    pub fn of(tenant_id: String, now: Micros, sections: Vec<Section>) -> Self {
        let overall_status = sections.iter().map(|section| section.status).max().unwrap_or(Status::Pass);
        Self { generated_at: Time(now), tenant_id, agntcy_schema_version: SCHEMA_VERSION, sections, overall_status }
    }
}
