//! Secrets that let somebody in: how they are made, and what is kept of them.

use std::sync::LazyLock;

use blake3::hazmat::{ContextKey, HasherExt as _, hash_derive_key_context};
use chancery_ledger::link::Hash;
use zeroize::Zeroizing;

use crate::context::{Context, ContextError};

/// What the BLAKE3 context of [`secret_hash`] comes to, derived once and not for every request.
static SECRET_KEY: LazyLock<ContextKey> = LazyLock::new(|| hash_derive_key_context("chancery 2026 credential v1"));

/// What every native API key starts with.
pub const API_KEY_PREFIX: &str = "chy_";

/// 52 characters of 5 bits each: 260 bits, so a fast hash of it cannot be searched for.
const SECRET_CHARS: usize = 52;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Draws a new API key: `chy_` and 52 characters.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_api_key(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    characters(API_KEY_PREFIX, ctx)
}

fn characters(prefix: &str, ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    let bytes = Zeroizing::new(ctx.random::<SECRET_CHARS>()?);
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + SECRET_CHARS));
    text.push_str(prefix);
    // 256 is a multiple of 32, so every character is equally likely.
    text.extend(bytes.iter().map(|byte| ALPHABET[usize::from(byte % 32)] as char));
    Ok(text)
}

/// What the text of every delegation starts with.
pub const DELEGATION_PREFIX: &str = "sa_del_";

/// Draws the text of a new delegation: `sa_del_` and 52 characters.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_delegation_secret(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    characters(DELEGATION_PREFIX, ctx)
}

/// What every secret that is made for signing posts starts with.
pub const WEBHOOK_SECRET_PREFIX: &str = "whsec_";
/// What every key for the Alsorn dialect starts with.
pub const ALSORN_KEY_PREFIX: &str = "als_";
/// What every client secret starts with.
pub const CLIENT_SECRET_PREFIX: &str = "sk_live_";

/// Draws a new secret to sign posts with: `whsec_` and 64 hexadecimal digits.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_webhook_secret(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    hexadecimal(WEBHOOK_SECRET_PREFIX, ctx)
}

/// Draws a new key for the Alsorn dialect: `als_` and 64 hexadecimal digits, which its SDK insists on.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_alsorn_key(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    hexadecimal(ALSORN_KEY_PREFIX, ctx)
}

/// Draws a new client secret: `sk_live_` and 64 hexadecimal digits, 256 bits.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_client_secret(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    hexadecimal(CLIENT_SECRET_PREFIX, ctx)
}

fn hexadecimal(prefix: &str, ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    let bytes = ctx.secret()?;
    let mut digits = Zeroizing::new([0; 64]);
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + digits.len()));
    text.push_str(prefix);
    if hex::encode_to_slice(*bytes, &mut *digits).is_ok() {
        text.extend(digits.iter().map(|digit| char::from(*digit)));
    }
    Ok(text)
}

/// Draws a code that proves who names it to have read it: 26 characters, 130 bits.
///
/// # Errors
/// [`ContextError::Random`].
pub fn new_code(ctx: &mut Context<'_>) -> Result<Zeroizing<String>, ContextError> {
    let bytes = Zeroizing::new(ctx.random::<26>()?);
    Ok(Zeroizing::new(bytes.iter().map(|byte| ALPHABET[usize::from(byte % 32)] as char).collect()))
}

/// What the log keeps of a secret, and by which it is looked up.
#[must_use]
pub fn secret_hash(secret: &str) -> Hash {
    Hash(blake3::Hasher::new_from_context_key(&SECRET_KEY).update(secret.as_bytes()).finalize().into())
}
