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
    MembersRead = "members:read",
    OrganisationsRead = "organisations:read",
    OrganisationsWrite = "organisations:write",
    TokensList = "tokens:list",
    TokensIntrospect = "tokens:introspect",
    TokensIssue = "tokens:issue",
    TokensRevoke = "tokens:revoke",
    MissionsRead = "missions:read",
    MissionsWrite = "missions:write",
    AuditRead = "audit:read",
    AuditVerify = "audit:verify",
    AuditAppend = "audit:append",
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

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
