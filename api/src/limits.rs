//! Every bound on what reaches the daemon from outside, with its unit and its reason. What an operator can change is a
//! default here and an option in [`crate::config`]; the rest is fixed.

use std::num::NonZeroU32;

/// Longest request body, in bytes; an option. The largest command, an audit entry with 32 KiB of data written in
/// escapes, stays below a quarter of it.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest line of an NDJSON batch, in bytes: what one command may take, since a batch as a whole is a stream.
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Commands of one NDJSON batch that are under way at once; more wait unread in the client's socket. Enough that one
/// batch keeps both threads of the sequencer busy: a commit's worth being made durable while the next is decided. Decided
/// ones no longer take room in the queue, which other callers share.
pub const BATCH_IN_FLIGHT: usize = 1024;
/// Deepest nesting of arrays and objects in JSON that is read into a tree of values.
pub const JSON_DEPTH_MAX: usize = 64;
/// Connections at once; an option. Each takes a file descriptor and up to [`READ_BUFFER_BYTES`] of memory.
pub const CONNECTIONS_MAX: usize = 1024;
/// Live event streams at once. HTTP/2 puts many requests on one connection, so the number of connections bounds nothing.
pub const STREAMS_MAX: usize = 1024;
/// Clients whose requests are counted apart, where there is a limit to how often they may ask: each takes some hundred bytes.
pub const RATED_CLIENTS_MAX: usize = 64 * 1024;
/// Verifications of an audit log of AgentIdP's at once, each of which takes a core; the others wait.
pub const VERIFICATIONS_MAX: usize = 1;
/// Requests that one HTTP/2 connection may have under way at once.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Read buffer of a connection, in bytes; also the longest head of an HTTP/1 request.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Header fields of one request, in bytes, as HTTP/2 counts them.
pub const HEADER_LIST_BYTES_MAX: u32 = 32 * 1024;
/// Longest query string, in bytes.
pub const QUERY_BYTES_MAX: usize = 4096;
/// Time for a TLS handshake and for the head of a request, in seconds; an option. Also how long an idle connection stays.
pub const HEADER_TIMEOUT_SECS: u64 = 30;
/// Time for a request's body, in seconds; an option. In an NDJSON batch, time from one piece to the next.
pub const BODY_TIMEOUT_SECS: u64 = 30;
/// Time in which a client must take some of what it is sent, in seconds; an option.
pub const WRITE_TIMEOUT_SECS: u64 = 60;
/// Time that requests under way have to end once the daemon is told to stop, in seconds; an option.
pub const STOP_TIMEOUT_SECS: u64 = 30;
/// How long a read waits for its view to reflect what its caller may know, in seconds.
pub const VIEW_PATIENCE_SECS: u64 = 10;
/// Longest request id that is taken over from a caller, in characters.
pub const REQUEST_ID_CHARS_MAX: usize = 64;
/// Longest credential that is looked up, in bytes; the longest real one has 56.
pub const CREDENTIAL_BYTES_MAX: usize = 256;
/// Secrets of which it is remembered whom they stand for: about 4 MiB. More than that in turn are looked up each time.
pub const KNOWN_SECRETS_MAX: usize = 4096;
/// Access tokens of which it is remembered what they are worth: about 24 MiB. More than that in turn are checked each time.
pub const KNOWN_TOKENS_MAX: usize = 16 * 1024;
/// Longest text that is checked for being a token, in bytes; ours have less than 1,500.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Assertions and proofs of possession of the last minutes that are remembered, so that none is taken twice: 10 MiB. Those
/// beyond are asked to come again.
pub const PROOFS_REMEMBERED_MAX: usize = 128 * 1024;
/// Longest name of an assertion or a proof of possession, in bytes.
pub const PROOF_ID_BYTES_MAX: usize = 256;
/// Most things on one page.
pub const PAGE_MAX: u32 = 500;
/// Things on a page when the caller names no number.
pub const PAGE_DEFAULT: u32 = 50;
/// Events that one page of `GET /v1/events` looks at before it answers with what it found and a cursor, so that a rare
/// kind in a long log does not hold a request for minutes.
pub const EVENTS_EXAMINED_MAX: usize = 10_000;
/// Past scope checks that one page of a dry run decides again, each with the token's signature: a fraction of a second.
pub const DRY_RUN_EXAMINED_MAX: usize = 1_000;
/// Events that a live stream renders before it hands them over.
pub const STREAM_CHUNK_EVENTS: usize = 64;
/// Chunks of a live stream that wait for a slow client; the log keeps the rest.
pub const STREAM_CHUNKS_WAITING: usize = 2;
/// Silence after which a live stream sends a comment, in seconds: proxies close what is silent for a minute.
pub const HEARTBEAT_SECS: u64 = 15;
/// Refused log-ins that one client has noted singly in a minute; the rest becomes one count.
pub const REFUSALS_SINGLY: u32 = 10;
/// Proofs of OAuth 2.0 clients that did not hold and are events of their own, from one address in a minute.
pub const TRIES_SINGLY: u32 = 100;
/// Proofs of OAuth 2.0 clients that may fail from one address in a minute; whoever goes on is asked to wait.
pub const TRIES_MAX: u32 = 600;
/// Clients whose refused log-ins are told apart in a minute; those beyond are counted together.
pub const REFUSING_CLIENTS_MAX: usize = 4096;
/// Refused log-ins that wait to be noted; those beyond are only counted in the metrics.
pub const REFUSALS_WAITING: usize = 1024;
/// Requests of the daemon's own that are under way at once: every turn's of deliveries, and others. More wait, within
/// their own time.
pub const EGRESS_IN_FLIGHT: usize = 320;
/// Threads that look names up for them.
pub const EGRESS_LOOKUPS: usize = 16;
/// Time to look a name up, connect and shake hands, in seconds.
pub const EGRESS_CONNECT_SECS: u64 = 5;
/// How long a connection of theirs stays open unused, in seconds.
pub const EGRESS_IDLE_SECS: u64 = 30;
/// Connections to one host that stay open unused.
pub const EGRESS_IDLE_PER_HOST: usize = 2;
/// Longest address that they go to, in bytes.
pub const TARGET_BYTES_MAX: usize = 2048;
/// Issuers whose key sets are remembered; those beyond are fetched each time.
pub const KEY_SETS_MAX: usize = 256;
/// Longest key set, in bytes; real ones have some thousand.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Time to fetch one, in seconds: somebody waits for it.
pub const KEY_SET_TIMEOUT_SECS: u64 = 5;
/// How long one is used without a look at whether it changed, in seconds.
pub const KEY_SET_FRESH_SECS: u64 = 600;
/// How long one is used while its issuer does not answer, in seconds.
pub const KEY_SET_STALE_SECS: u64 = 3600;
/// How often one is fetched in a minute.
pub const KEY_SET_FETCHES: NonZeroU32 = NonZeroU32::new(6).unwrap();
/// Longest token of somebody else, in bytes.
pub const FOREIGN_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Shortest time between two checkpoints that witnesses are asked for, in seconds; an option. Each costs every witness a
/// signature and this log an event for each of them.
pub const PUBLISH_INTERVAL_SECS: u64 = 10;
/// Time for a witness to answer, in seconds.
pub const WITNESS_SECS: u64 = 10;
/// How much of a witness's answer is read, in bytes: lines of several keys, post-quantum ones among them.
pub const WITNESS_ANSWER_BYTES: usize = 64 * 1024;
/// How long after its first failure a witness is asked again, in seconds; each later failure doubles it.
pub const WITNESS_RETRY_SECS: u64 = 2;
/// The longest that a witness is left alone, in seconds, whatever it asks for.
pub const WITNESS_RETRY_MAX_SECS: u64 = 300;
/// Cosigned checkpoints that a start looks back over for the newest published one, and for what each witness knows.
pub const COSIGNED_RESUMED_MAX: usize = 4096;
/// Largest checkpoint of another log that is cosigned, in bytes, with the proof that it continues an older one: one with
/// the cosignatures of many others has some ten thousand.
pub const WITNESSED_BYTES_MAX: usize = 48 * 1024;
/// Longest text of such a checkpoint, in bytes: three lines, and extension lines.
pub const WITNESSED_TEXT_BYTES_MAX: usize = 8 * 1024;
/// Subscriptions whose events are posted at once; each posts one after another.
pub const DELIVERY_TURNS: usize = 192;
/// As many turns again are kept apart for subscriptions whose last attempt failed or took long, so that these hold up
/// nobody else.
pub const DELIVERY_TURNS_SLOW: usize = 64;
/// Of either, the part that one tenant can have.
pub const DELIVERY_SHARE: usize = 2;
/// Subscriptions that are due, among which those with turns are found; looking through them takes some milliseconds.
pub const DELIVERY_DUE: usize = 4096;
/// Most posts of one turn, which are recorded together.
pub const DELIVERY_TURN_POSTS: usize = 64;
/// Most of these whose answers are kept: each makes an event of its own.
pub const DELIVERY_TURN_EXCERPTS: usize = 16;
/// After so long a turn ends with the post under way, in milliseconds, so that what came of it is soon known.
pub const DELIVERY_TURN_MILLIS: u64 = 1_000;
/// Time for one post, in seconds.
pub const DELIVERY_SECS: u64 = 10;
/// How much of a post's answer is read, in bytes: 1,024 characters of any kind.
pub const DELIVERY_ANSWER_BYTES: usize = 4096;
/// How long after the first attempt a post is tried again, in seconds; an option. Later attempts wait longer.
pub const WEBHOOK_RETRY_SECS: u64 = 5;
/// Events of one push to a sink.
pub const SINK_BATCH_EVENTS: usize = 512;
/// Bytes of one push to a sink, beyond which it takes no other event.
pub const SINK_BATCH_BYTES: usize = 1024 * 1024;
/// Time for one push to an HTTP sink, in seconds.
pub const SINK_SECS: u64 = 30;
/// How much of an HTTP sink's answer is read, in bytes: only its status counts.
pub const SINK_ANSWER_BYTES: usize = 1024;
/// Longest pause before a sink that failed is told again, in seconds.
pub const SINK_RETRY_SECS_MAX: u64 = 300;
/// How often the roots of the views are published, in seconds, while something happens; an option.
pub const VIEW_ROOTS_SECS: u64 = 3600;
/// How often what is kept no longer is looked for, in seconds; an option. Policies count in days.
pub const RETENTION_SECS: u64 = 600;
/// Shortest time between two checkpoints that an authority is asked to timestamp, in seconds; an option.
pub const TIMESTAMP_INTERVAL_SECS: u64 = 3600;
/// Time for an authority to answer, in seconds.
pub const TIMESTAMP_SECS: u64 = 30;
/// How long after an authority failed it is asked again, in seconds; each time twice as long, up to an hour.
pub const TIMESTAMP_RETRY_SECS: u64 = 10;
/// The longest of those, in seconds.
pub const TIMESTAMP_RETRY_MAX_SECS: u64 = 3600;
/// Events looked through in one go for whether something happened that is worth a timestamp.
pub const TIMESTAMP_LOOK_EVENTS: usize = 10_000;
/// How long what was found of the compliance controls is told, in seconds.
pub const CONTROLS_KEPT_SECS: u64 = 60;
/// How long an organisation's compliance report is told, in seconds.
pub const REPORTS_KEPT_SECS: u64 = 300;
/// Compliance reports kept; of more organisations than this asking in turn, some are answered anew.
pub const REPORTS_MAX: usize = 1_024;
