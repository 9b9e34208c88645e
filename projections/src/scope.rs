//! Scopes: what a credential allows (DOMAIN section 2). Each command and each query needs exactly one.

use std::fmt;

macro_rules! scopes {
    ($($name:ident = $text:literal,)*) => {
        /// A native scope.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`")] $name,)*
            /// No credential has it: what only the daemon does.
            Internal,
        }

        impl Scope {
            /// Every scope a credential can have.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The scope's text.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Internal => "internal",
                }
            }

            /// The scope of that text; `None` when there is none, or no credential can have it.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

scopes! {
    AgentsList = "agents:list",
    AgentsRead = "agents:read",
    AgentsRegister = "agents:register",
    AgentsUpdate = "agents:update",
    AgentsSuspend = "agents:suspend",
    AgentsDecommission = "agents:decommission",
    ApiKeysList = "api_keys:list",
    ApiKeysCreate = "api_keys:create",
    ApiKeysRevoke = "api_keys:revoke",
    CredentialsList = "credentials:list",
    CredentialsWrite = "credentials:write",
    MembersRead = "members:read",
    OrganisationsRead = "organisations:read",
    OrganisationsWrite = "organisations:write",
    TokensList = "tokens:list",
    TokensIntrospect = "tokens:introspect",
    TokensIssue = "tokens:issue",
    TokensRevoke = "tokens:revoke",
    TokensDelegate = "tokens:delegate",
    MissionsRead = "missions:read",
    MissionsWrite = "missions:write",
    AuditRead = "audit:read",
    AuditVerify = "audit:verify",
    AuditAppend = "audit:append",
    TrustRead = "trust:read",
    TrustEvaluate = "trust:evaluate",
    TrustReport = "trust:report",
    TrustResolve = "trust:resolve",
    TransactionsRead = "transactions:read",
    TransactionsExecute = "transactions:execute",
    TransactionsReverse = "transactions:reverse",
    PoliciesRead = "policies:read",
    PoliciesWrite = "policies:write",
    IssuersRead = "issuers:read",
    IssuersWrite = "issuers:write",
    DeliveryRead = "delivery:read",
    DeliveryWrite = "delivery:write",
    ErasuresRead = "erasures:read",
    ErasuresWrite = "erasures:write",
    HoldsRead = "holds:read",
    HoldsWrite = "holds:write",
    TenantsList = "tenants:list",
    TenantsManage = "tenants:manage",
    LedgerRead = "ledger:read",
    LedgerProve = "ledger:prove",
    LedgerAdminister = "ledger:administer",
}

impl Scope {
    /// Whether only principals of the root tenant can use it.
    #[must_use]
    pub const fn is_root_only(self) -> bool {
        matches!(self, Self::TenantsList | Self::TenantsManage | Self::LedgerAdminister)
    }

    /// What the OrgKernel dialect's bearer key allows: agents, tokens, audit, and reading organisations.
    pub const ORGKERNEL: &[Self] = &[
        Self::AgentsList,
        Self::AgentsRead,
        Self::AgentsRegister,
        Self::AgentsUpdate,
        Self::AgentsSuspend,
        Self::AgentsDecommission,
        Self::TokensList,
        Self::TokensIntrospect,
        Self::TokensIssue,
        Self::TokensRevoke,
        Self::AuditRead,
        Self::AuditVerify,
        Self::AuditAppend,
        Self::OrganisationsRead,
    ];
}

/// What keys of the Alsorn dialect allow, by their level (contracts/alsorn.md section 6; DOMAIN section 2).
impl Scope {
    /// `read`: everything that is looked at.
    pub const ALSORN_READ: &[Self] =
        &[Self::AgentsList, Self::AgentsRead, Self::TrustRead, Self::TransactionsRead, Self::AuditRead];
    /// `admin`: that, everything that agents do, and webhooks.
    pub const ALSORN_ADMIN: &[Self] = &[
        Self::AgentsList,
        Self::AgentsRead,
        Self::TrustRead,
        Self::TransactionsRead,
        Self::AuditRead,
        Self::AgentsRegister,
        Self::AgentsUpdate,
        Self::AgentsSuspend,
        Self::AgentsDecommission,
        Self::TrustEvaluate,
        Self::TrustReport,
        Self::TransactionsExecute,
        Self::TransactionsReverse,
        Self::DeliveryRead,
        Self::DeliveryWrite,
    ];
}

/// A scope of the AgentIdP dialect's tokens, and what it allows natively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentIdpScope {
    /// Its text in tokens.
    pub text: &'static str,
    /// What it allows.
    pub allows: &'static [Scope],
    /// Whether any agent may ask for it; others must be granted it.
    pub is_core: bool,
}

/// The scopes of the AgentIdP dialect (contracts/agentidp.md section 1, "Scopes"; DOMAIN section 2).
pub const AGENTIDP: &[AgentIdpScope] = &[
    AgentIdpScope {
        text: "agents:read",
        allows: &[Scope::AgentsList, Scope::AgentsRead, Scope::CredentialsList],
        is_core: true,
    },
    AgentIdpScope {
        text: "agents:write",
        allows: &[
            Scope::AgentsRegister,
            Scope::AgentsUpdate,
            Scope::AgentsSuspend,
            Scope::AgentsDecommission,
            Scope::CredentialsWrite,
            // Some sources of the contract have webhooks made under this scope.
            Scope::DeliveryWrite,
        ],
        is_core: true,
    },
    AgentIdpScope { text: "tokens:read", allows: &[Scope::TokensIntrospect, Scope::TokensRevoke], is_core: true },
    AgentIdpScope { text: "audit:read", allows: &[Scope::AuditRead, Scope::AuditVerify], is_core: true },
    AgentIdpScope {
        text: "admin:orgs",
        allows: &[Scope::OrganisationsRead, Scope::OrganisationsWrite, Scope::IssuersRead, Scope::IssuersWrite],
        is_core: false,
    },
    AgentIdpScope { text: "webhooks:read", allows: &[Scope::DeliveryRead], is_core: false },
    AgentIdpScope { text: "webhooks:write", allows: &[Scope::DeliveryRead, Scope::DeliveryWrite], is_core: false },
    AgentIdpScope { text: "openid", allows: &[], is_core: true },
];

impl Scope {
    /// What a scope that was granted to an agent allows natively: one of AgentIdP's what that table says, a native one
    /// itself; `None` when there is no such scope.
    #[must_use]
    pub fn allowed_by(granted: &str) -> Option<&'static [Self]> {
        let native = || Self::ALL.iter().find(|scope| scope.text() == granted).map(std::slice::from_ref);
        AgentIdpScope::find(granted).map(|scope| scope.allows).or_else(native)
    }
}

impl AgentIdpScope {
    /// The scope of that text; `None` when there is none.
    #[must_use]
    pub fn find(text: &str) -> Option<&'static Self> {
        AGENTIDP.iter().find(|scope| scope.text == text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
