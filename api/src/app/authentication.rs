//! Who asks: what each sort of proof comes to, by everything that was acknowledged. The proofs themselves are looked into
//! in [`crate::auth`] and [`crate::jose`].

use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::actor::Method;
use chancery_ledger::body::ledger::{Algorithm, Purpose};
use chancery_ledger::ids::{AgentId, KeyId, OrganisationId, TenantId, ThingId as _, TokenId, TreeSize, parse_uuid};
use chancery_ledger::link::Hash;
use chancery_ledger::time::Micros;
use chancery_projections::credential::secret_hash;
use chancery_projections::identity::state::{AGENTS, LEDGER, PublicKeyRow, TENANTS};
use chancery_projections::rows::RowsError;
use chancery_projections::token::state::Token;
use chancery_projections::views::View;

use super::App;
use crate::auth::access_token::{AccessToken, Known};
use crate::auth::refusals::Attempt;
use crate::auth::tries::Try;
use crate::auth::{self, Client, Holder, Mount, Principal, Refusal, Refused};
use crate::jose::{self, About, AccessClaims, IdClaims, KnownKeys, Replay, Replays, TokenClaims};
use crate::limits::{CREDENTIAL_BYTES_MAX, TOKEN_BYTES_MAX, VIEW_PATIENCE_SECS};
use crate::problem::Problem;
use crate::request::Request;

/// Thumbprint of a key that a caller proved to hold.
type Thumbprint = Hash;

/// A client that proved who it is by an assertion.
#[derive(Debug)]
pub struct Asserted {
    /// The client.
    pub principal: Principal,
    /// The key that it signed with.
    pub key: KeyId,
    /// Names the assertion among all of that client.
    pub id: String,
}

impl App {
    /// Who sends a request to a mount. A refusal is noted in the log, beside the request.
    ///
    /// # Errors
    /// [`Problem::Unauthenticated`]; [`Problem::Rejected`] when the tenant is suspended; those of reading the view.
    pub async fn principal(&self, request: &Request, mount: Mount) -> Result<Principal, Problem> {
        self.let_in(request, mount).await?.map_err(Refusal::problem)
    }

    /// As [`principal`](Self::principal), for a mount that tells its callers more of why they are not let in.
    ///
    /// # Errors
    /// [`Problem::Unauthenticated`] when nothing is presented; those of reading the view.
    pub async fn let_in(&self, request: &Request, mount: Mount) -> Result<Result<Principal, Refusal>, Problem> {
        let max = if mount == Mount::AgentIdp { TOKEN_BYTES_MAX } else { CREDENTIAL_BYTES_MAX };
        let bound = (mount == Mount::AgentIdp).then(|| auth::presented_with_proof(request.headers())).flatten();
        let secret = match bound {
            Some(token) => token,
            None => auth::presented(request.headers(), max).ok_or(Problem::Unauthenticated)?,
        };
        let let_in = if bound.is_some() {
            match self.possession(request, Some(secret))? {
                Some(possession) => self.bearer(secret, Some(possession)).await?,
                None => Err(Refused { credential: None, why: Refusal::Unknown }),
            }
        } else if mount == Mount::AgentIdp && secret.contains('.') {
            self.bearer(secret, None).await?
        } else {
            let holder = self.holder(secret_hash(secret)).await?;
            holder.map_or(Err(Refused::UNKNOWN), |holder| holder.let_in(mount, self.now()))
        };
        Ok(let_in.map_err(|refused| {
            self.note_refusal(request, mount, refused);
            refused.why
        }))
    }

    /// Notes a refused log-in in the log, beside the request.
    pub fn note_refusal(&self, request: &Request, mount: Mount, refused: Refused) {
        self.metrics.refusals.inc();
        self.count_refusal(request, Attempt { peer: request.peer, mount, refused, only_counted: false });
    }

    /// What becomes of an OAuth 2.0 client's proof that does not hold. Whoever is told that it is an event of its own sees
    /// to that.
    pub fn client_refused(&self, request: &Request, mount: Mount, client: &str) -> Try {
        let what = self.tries.failed(request.peer, client, self.now());
        if what != Try::Singly {
            let refused = Refused::UNKNOWN;
            self.count_refusal(request, Attempt { peer: request.peer, mount, refused, only_counted: true });
        }
        what
    }

    /// Whether a client's next proof that does not hold would be only counted.
    pub fn is_refused_often(&self, request: &Request, client: &str) -> bool {
        self.tries.are_many(request.peer, client, self.now())
    }

    fn count_refusal(&self, request: &Request, attempt: Attempt) {
        let refused = attempt.refused;
        if !self.refusals.note(attempt) {
            let why = refused.why.name();
            tracing::warn!(request = %request.id, peer = %request.peer, why, "a refused log-in is not noted: too many wait");
        }
    }

    /// The key that a request's proof of possession proves to be held, when the proof is about the request, and about the
    /// access token if one goes with it, and was not shown before; `None` when there is none or it does not hold.
    ///
    /// # Errors
    /// [`Problem::Header`] when there are several; [`Problem::Exhausted`] when too many proofs are remembered.
    pub fn possession(&self, request: &Request, access_token: Option<&str>) -> Result<Option<Thumbprint>, Problem> {
        let Some(text) = request.header("dpop")? else { return Ok(None) };
        let url = format!("{}{}", self.config.base_url(), request.path());
        let about = About { method: request.method().as_str(), url: &url, access_token };
        let Some(proof) = jose::possession(text, about, self.now()) else { return Ok(None) };
        let by = hex::encode(proof.thumbprint.0);
        Ok(is_first(&self.possessions, &by, &proof.id, self.now())?.then_some(proof.thumbprint))
    }

    /// Whether a client's assertion is shown for the first time.
    ///
    /// # Errors
    /// [`Problem::Exhausted`] when too many are remembered.
    pub fn is_first_assertion(&self, client: &str, id: &str) -> Result<bool, Problem> {
        is_first(&self.assertions, client, id, self.now())
    }

    /// Whom an access token stands for, presented as a bearer's or by who holds a key.
    async fn bearer(&self, text: &str, possession: Option<Thumbprint>) -> Result<Result<Principal, Refused>, Problem> {
        let Some(token) = self.access_token(text).await? else { return Ok(Err(Refused::UNKNOWN)) };
        let refused = |why| Ok(Err(Refused { credential: None, why }));
        if let Some(why) = token.dead(self.now()) {
            return refused(why);
        }
        let audience = &token.token.audience;
        // A token that is bound to a key is worth nothing to who does not prove to hold that.
        if token.token.cnf != possession || !(audience.is_empty() || audience.contains(&self.issuer)) {
            return refused(Refusal::Audience);
        }
        Ok(Ok(Principal::of_token(token)))
    }

    /// The access token that a text is, alive or not, with what it is worth by everything acknowledged; `None` for any
    /// other text. Each text is checked once for as long as it is remembered.
    ///
    /// # Errors
    /// Those of reading the views.
    pub async fn access_token(&self, text: &str) -> Result<Option<Arc<AccessToken>>, Problem> {
        let as_of = self.sequencer().tokens_acknowledged();
        let hash = secret_hash(text);
        match self.known_tokens.get(&hash, as_of) {
            Known::Now(token) => Ok(Some(token)),
            // Seldom, so they take no room in what every request waits in.
            Known::Before(id) => Box::pin(self.find_token(hash, id, as_of)).await,
            Known::Nothing => Box::pin(self.check_token(text, hash, as_of)).await,
        }
    }

    async fn check_token(&self, text: &str, hash: Hash, as_of: TreeSize) -> Result<Option<Arc<AccessToken>>, Problem> {
        let claims: Option<TokenClaims> = self.token_keys(as_of).await?.verified(text);
        let Some(id) = claims.and_then(|claims| parse_uuid(&claims.jti).ok()) else { return Ok(None) };
        self.find_token(hash, TokenId::from_uuid(id), as_of).await
    }

    async fn find_token(&self, hash: Hash, id: TokenId, as_of: TreeSize) -> Result<Option<Arc<AccessToken>>, Problem> {
        let identity = self.access_view(as_of).await?;
        let tokens = self.views().read(View::Token, as_of, Duration::from_secs(VIEW_PATIENCE_SECS)).await?;
        let mut found = AccessToken::find(&identity, &tokens, id)?;
        if found.is_none() {
            // It may be newer than what was looked for.
            let (identity, tokens) = (self.view(View::Identity).await?, self.view(View::Token).await?);
            found = AccessToken::find(&identity, &tokens, id)?;
        }
        let found = found.map(Arc::new);
        if let Some(token) = &found {
            self.known_tokens.keep(hash, as_of, token.clone());
        }
        Ok(found)
    }

    /// The keys that tokens are checked with, as of the last change of them.
    ///
    /// # Errors
    /// Those of reading the view.
    pub async fn token_keys(&self, as_of: TreeSize) -> Result<Arc<KnownKeys>, Problem> {
        match self.jose.known(as_of) {
            Some(known) => Ok(known),
            None => Ok(self.jose.learn(&self.access_view(as_of).await?, as_of)?),
        }
    }

    /// The text of an access token that was just issued.
    ///
    /// # Errors
    /// [`Problem::Internal`] when it cannot be signed.
    pub fn render_access_token(
        &self, token: &Token, actors: &[AgentId], organisation: Option<OrganisationId>, key: &PublicKeyRow,
    ) -> Result<String, Problem> {
        let signed = self.jose.sign(key, &AccessClaims::of(token, actors, organisation, &self.issuer));
        signed.map_err(|error| {
            tracing::error!(%error, "an access token cannot be rendered");
            Problem::Internal
        })
    }

    /// The text of the ID token that goes with an access token, with what it says of the client.
    ///
    /// # Errors
    /// As [`render_access_token`](Self::render_access_token).
    pub fn render_id_token(
        &self, token: &Token, key: &PublicKeyRow, about: &impl serde::Serialize,
    ) -> Result<String, Problem> {
        self.jose.sign(key, &IdClaims::of(token, &self.issuer, about)).map_err(|error| {
            tracing::error!(%error, "an ID token cannot be rendered");
            Problem::Internal
        })
    }

    /// The client that signed an assertion for one of these addresses, with the key it signed with and the assertion's id;
    /// `None` when nobody did.
    ///
    /// # Errors
    /// Those of reading the view.
    pub async fn asserted(
        &self, client: AgentId, assertion: &str, audiences: &[String],
    ) -> Result<Option<Asserted>, Problem> {
        let identity = self.view(View::Identity).await?;
        let Some(agent) = AGENTS.get(&identity, client)? else { return Ok(None) };
        let home = TENANTS.get(&identity, agent.tenant)?.ok_or(RowsError::Missing("a tenant"))?;
        let mut keys: Vec<(KeyId, Algorithm, &[u8])> = Vec::new();
        keys.extend(agent.identity_key.as_ref().map(|key| (key.key, Algorithm::Ed25519, &*key.public)));
        keys.extend(agent.did_key.as_ref().map(|key| (key.key, Algorithm::P256, &*key.public)));
        let found = jose::assertion(assertion, &client.to_string(), &keys, audiences, self.now());
        Ok(found.map(|(key, id)| {
            let client = Client { agent: client, method: Method::Signature, credential: None };
            Asserted { principal: Principal::of_client(client, Arc::new(home)), key, id }
        }))
    }

    /// The client whose secret this is, and its tenant; why not, if it is not let in. Whether its agent may act is
    /// not asked.
    ///
    /// # Errors
    /// Those of reading the view.
    pub async fn client(&self, client: AgentId, secret: &str) -> Result<Result<Principal, Refused>, Problem> {
        let holder = self.holder(secret_hash(secret)).await?;
        Ok(holder.map_or(Err(Refused::UNKNOWN), |holder| holder.as_client(client, self.now())))
    }

    /// The tenant of an agent; for one that there is not, the root tenant.
    ///
    /// # Errors
    /// Those of reading the view.
    pub async fn home_of_client(&self, client: Option<AgentId>) -> Result<TenantId, Problem> {
        let identity = self.view(View::Identity).await?;
        if let Some(client) = client
            && let Some(agent) = AGENTS.get(&identity, client)?
        {
            return Ok(agent.tenant);
        }
        let root = LEDGER.get(&identity, ())?.and_then(|ledger| ledger.root);
        Ok(root.ok_or(RowsError::Missing("the root tenant"))?)
    }

    /// The issuer of tokens: the address of the mount, as clients reach it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What signs access tokens.
    #[must_use]
    pub fn token_signer(&self) -> Purpose {
        self.config.token_algorithm.purpose()
    }

    /// Whom a secret stands for, reflecting every acknowledged change of that.
    async fn holder(&self, secret: Hash) -> Result<Option<Holder>, Problem> {
        let access = self.sequencer().access_acknowledged();
        match self.known_secrets.get(&secret, access) {
            Some(holder) => Ok(Some(holder)),
            // Seldom, so it takes no room in what every request waits in.
            None => Box::pin(self.find_holder(secret, access)).await,
        }
    }

    async fn find_holder(&self, secret: Hash, access: TreeSize) -> Result<Option<Holder>, Problem> {
        let holder = Holder::find(&self.access_view(access).await?, secret)?;
        if let Some(holder) = &holder {
            self.known_secrets.keep(secret, access, holder.clone());
        }
        Ok(holder)
    }

    /// Lets a principal act in a tenant, named by slug or id.
    ///
    /// # Errors
    /// As [`Principal::enter`]; those of reading the view.
    pub async fn enter(&self, principal: Principal, tenant: &str) -> Result<Principal, Problem> {
        principal.enter(&self.access_view(self.sequencer().access_acknowledged()).await?, tenant)
    }

    /// Whether a principal that was let in before still would be.
    ///
    /// # Errors
    /// Those of reading the view.
    pub async fn still_lets_in(&self, principal: &Principal) -> Result<bool, Problem> {
        let identity = self.access_view(self.sequencer().access_acknowledged()).await?;
        Ok(principal.is_still_good(&identity, self.now())?)
    }
}

fn is_first(replays: &Replays, by: &str, id: &str, now: Micros) -> Result<bool, Problem> {
    match replays.take(by, id, now) {
        Ok(()) => Ok(true),
        Err(Replay::Seen) => Ok(false),
        Err(Replay::Full) => Err(Problem::Exhausted { what: "places for clients' proofs" }),
    }
}
