//! Where a request may go, as far as the address itself tells.

use std::fmt;
use std::net::IpAddr;

use reqwest::Url;

use super::address::is_link_local;
use crate::limits::TARGET_BYTES_MAX;

/// Why something may not be called. Each message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// It is no address.
    #[error("is not an absolute URL of at most {TARGET_BYTES_MAX} bytes")]
    Malformed,
    /// It is not `https`.
    #[error("must start with https://")]
    Scheme,
    /// It holds a user name or a password.
    #[error("must not hold a user name or a password")]
    UserInfo,
    /// It names its host by a bare IP address.
    #[error("must name its host, not give an IP address")]
    Literal,
    /// Its host is on the machine's own link, where clouds keep what no one else may see; nothing allows that.
    #[error("{host} stands for a link-local address, which is never called")]
    LinkLocal {
        /// Which.
        host: String,
    },
    /// Its host is not on the public Internet.
    #[error("{host} stands for an address that is not public")]
    Private {
        /// Which.
        host: String,
    },
}

/// Where a request goes: an absolute address that may be called if what its name stands for may.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    pub(super) fn parse(url: &str, allows_private: bool) -> Result<Self, Forbidden> {
        if url.len() > TARGET_BYTES_MAX {
            return Err(Forbidden::Malformed);
        }
        let url = Url::parse(url).map_err(|_| Forbidden::Malformed)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(Forbidden::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if allows_private => {}
            _ => return Err(Forbidden::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::UserInfo);
        }
        // Every other spelling of an IPv4 address, as in `0x7f.1`, has become the usual one by now.
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            if !allows_private {
                return Err(Forbidden::Literal);
            }
            if is_link_local(address) {
                return Err(Forbidden::LinkLocal { host: host.to_owned() });
            }
        }
        Ok(Self(url))
    }

    /// Who is called.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn into_url(self) -> Url {
        self.0
    }
}

impl fmt::Debug for Target {
    /// Path and query stay out: they can hold what their owner keeps secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}://{}/…)", self.0.scheme(), self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_https_address_of_a_name() {
        let forbidden = |url: &str| Target::parse(url, false).err();
        assert_eq!(forbidden("https://example.com/hook?a=b"), None);
        assert_eq!(forbidden("https://example.com:8443/"), None);
        assert_eq!(forbidden("HTTPS://EXAMPLE.com."), None);
        assert_eq!(forbidden("http://example.com/"), Some(Forbidden::Scheme));
        assert_eq!(forbidden("ftp://example.com/"), Some(Forbidden::Scheme));
        assert_eq!(forbidden("file:///etc/passwd"), Some(Forbidden::Malformed));
        assert_eq!(forbidden("example.com"), Some(Forbidden::Malformed));
        assert_eq!(forbidden("/hook"), Some(Forbidden::Malformed));
        assert_eq!(forbidden(""), Some(Forbidden::Malformed));
        assert_eq!(forbidden(&format!("https://example.com/{}", "x".repeat(4096))), Some(Forbidden::Malformed));
        assert_eq!(forbidden("https://user@example.com/"), Some(Forbidden::UserInfo));
        assert_eq!(forbidden("https://:secret@example.com/"), Some(Forbidden::UserInfo));
        for literal in ["127.0.0.1", "8.8.8.8", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:8.8.8.8]"] {
            assert_eq!(forbidden(&format!("https://{literal}/")), Some(Forbidden::Literal), "{literal}");
        }
    }

    #[test]
    fn an_operator_may_allow_private_targets() {
        let allowed = |url: &str| Target::parse(url, true);
        for url in ["http://127.0.0.1:9000/", "http://localhost/", "https://[::1]:1/", "https://example.com/"] {
            assert!(allowed(url).is_ok(), "{url}");
        }
        for url in
            ["http://169.254.169.254/", "http://0xa9fea9fe/", "https://[fe80::1]/", "https://[::ffff:169.254.1.1]/"]
        {
            assert!(matches!(allowed(url), Err(Forbidden::LinkLocal { .. })), "{url}");
        }
        assert_eq!(allowed("gopher://localhost/").err(), Some(Forbidden::Scheme));
        assert_eq!(allowed("http://user:pass@localhost/").err(), Some(Forbidden::UserInfo));
    }

    #[test]
    fn what_is_logged_of_a_target_holds_no_secret() {
        let target = Target::parse("https://example.com/hooks/secret?token=secret", false).unwrap();
        assert_eq!(format!("{target:?}"), "Target(https://example.com/…)");
    }
}
