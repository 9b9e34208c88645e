-- An audit table whose trigger hash-chains each row, as tamper-evident audit tables are commonly built: one row holds the
-- chain's head, and whoever appends holds its lock until the commit.
CREATE TABLE head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    seq bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE TABLE audit (
    seq bigint PRIMARY KEY,
    time timestamptz NOT NULL DEFAULT clock_timestamp(),
    chain integer NOT NULL,
    layer text NOT NULL,
    event text NOT NULL,
    agent text NOT NULL,
    mission text NOT NULL,
    data jsonb NOT NULL,
    prev bytea NOT NULL,
    hash bytea NOT NULL
);

CREATE FUNCTION link() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT head.seq + 1, head.hash INTO NEW.seq, NEW.prev FROM head FOR UPDATE;
    NEW.hash := sha256(NEW.prev || convert_to(
        concat_ws('|', NEW.seq, NEW.time, NEW.chain, NEW.layer, NEW.event, NEW.agent, NEW.mission, NEW.data), 'UTF8'));
    UPDATE head SET seq = NEW.seq, hash = NEW.hash;
    RETURN NEW;
END
$$;
CREATE TRIGGER link BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION link();
