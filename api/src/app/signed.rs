//! Who asks, where an agent proves it by a signature of the request.

use std::sync::Arc;

use chancery_ledger::keys::PublicKey;
use chancery_projections::identity::state::{AGENTS, AGENTS_BY_KEY, GRANTS, TENANTS};
use chancery_projections::rejection::Rejection;
use chancery_projections::rows::RowsError;
use chancery_projections::signature::AgentSignature;
use chancery_projections::views::View;

use super::App;
use crate::auth::{Mount, Principal, Refusal, Refused, SignedAgent};
use crate::problem::Problem;
use crate::request::Request;
use crate::signature::{self, Presented, Signable, SignatureFault};

impl App {
    /// The agent that signed a request to the native mount, and what it signed. A signature that does not hold is noted in
    /// the log, beside the request. Whether it is good now and for the first time is asked when the command is decided.
    ///
    /// # Errors
    /// [`Rejection::SignatureInvalid`]; those of reading the view, and of entering a tenant.
    pub async fn signed(&self, request: &Request, content: &[u8]) -> Result<(Principal, AgentSignature), Problem> {
        let (agent, signature) = match self.find_signer(request, content).await? {
            Ok(found) => found,
            Err(fault) => {
                self.note_refusal(request, Mount::Native, Refused { credential: None, why: Refusal::Signature });
                return Err(Rejection::SignatureInvalid { why: fault.to_string() }.into());
            }
        };
        match request.header("chancery-tenant")? {
            Some(tenant) => Ok((self.enter(agent, tenant).await?, signature)),
            None => Ok((agent, signature)),
        }
    }

    async fn find_signer(
        &self, request: &Request, content: &[u8],
    ) -> Result<Result<(Principal, AgentSignature), SignatureFault>, Problem> {
        let scheme = if self.config.base_url().starts_with("https:") { "https" } else { "http" };
        let presented = signature::presented(Signable {
            method: request.method(),
            scheme,
            authority: request.authority().unwrap_or_default(),
            path: request.path(),
            query: request.query(),
            headers: request.headers(),
        });
        let Presented { base, signature } = match presented {
            Ok(presented) => presented,
            Err(fault) => return Ok(Err(fault)),
        };
        let content = match std::str::from_utf8(content) {
            Ok(content) if base.is_of(content.as_bytes()) => content.to_owned(),
            _ => return Ok(Err(SignatureFault::Content)),
        };
        let identity = self.view(View::Identity).await?;
        let Some(id) = AGENTS_BY_KEY.get(&identity, base.parameters().key)? else {
            return Ok(Err(SignatureFault::UnknownKey));
        };
        let agent = AGENTS.get(&identity, id)?.ok_or(RowsError::Missing("an agent"))?;
        let key = agent.identity_key.filter(|held| held.key == base.parameters().key);
        let Some(key) = key.and_then(|held| PublicKey::from_slice(&held.public)) else {
            return Ok(Err(SignatureFault::UnknownKey));
        };
        if !base.is_signed(&key, &signature.0) {
            return Ok(Err(SignatureFault::Forged));
        }
        let home = TENANTS.get(&identity, agent.tenant)?.ok_or(RowsError::Missing("a tenant"))?;
        let allows = GRANTS.get(&identity, id)?.map(|granted| granted.allows()).unwrap_or_default();
        let principal = Principal::of_signature(SignedAgent { agent: id, allows }, Arc::new(home));
        Ok(Ok((principal, AgentSignature { agent: id, base, signature, content })))
    }
}
