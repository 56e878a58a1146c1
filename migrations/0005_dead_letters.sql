-- Dead letters that may come again, parked events by themselves, and what people do with both.
--
-- An offset is no name of a record for ever: a stored offset that was set back delivers dead records
-- again, and a topic that was made anew uses their offsets for others. So the bytes are part of the
-- key: the same record at the same offset is the same dead letter.
--
-- Both kinds take their ids from one sequence, so that a number alone names one entry.
CREATE SEQUENCE dead_letter_ids;

-- The length in front keeps (key, payload) apart from other ways to cut the same bytes in two.
CREATE FUNCTION dead_letter_digest(record_key bytea, payload bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sha256(int4send(length(record_key)) || record_key || payload);

ALTER TABLE dead_letters
    ADD COLUMN dead_letter_id bigint NOT NULL DEFAULT nextval('dead_letter_ids'),
    ADD COLUMN record_digest bytea NOT NULL
        GENERATED ALWAYS AS (dead_letter_digest(record_key, payload)) STORED,
    -- 0 open, 1 redriven, 2 discarded, 3 settled: its event was final already
    ADD COLUMN state smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3);
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_pkey;
ALTER TABLE dead_letters ADD PRIMARY KEY (dead_letter_id);
ALTER TABLE dead_letters ADD UNIQUE (partition, record_offset, record_digest);
CREATE INDEX dead_letters_open ON dead_letters (dead_letter_id) WHERE state = 0;

-- Events that were parked, beside their change log rows: an index on the status there would make
-- every result dearer to write. Written in the transaction that parks; a batch without a parked
-- event never touches it. An event that is parked again keeps its entry, and its id.
CREATE TABLE parked_events (
    dead_letter_id bigint PRIMARY KEY DEFAULT nextval('dead_letter_ids'),
    log_id uuid NOT NULL UNIQUE,
    account_id bigint NOT NULL,
    record_offset bigint NOT NULL,
    parked_at timestamptz NOT NULL,
    shard_id integer NOT NULL,
    partition integer NOT NULL,
    times integer NOT NULL DEFAULT 1 CHECK (times >= 1),
    -- As in dead_letters, but never 3: 0 open, 1 redriven, 2 discarded
    state smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 2),
    idempotency_key text COLLATE "C" NOT NULL,
    message text NOT NULL
);
CREATE INDEX parked_events_open ON parked_events (dead_letter_id) WHERE state = 0;

INSERT INTO parked_events
       (log_id, account_id, record_offset, parked_at, shard_id, partition, idempotency_key, message)
SELECT log_id, account_id, record_offset, decided_at, shard_id, partition, idempotency_key,
       COALESCE(reason, '')
  FROM balance_change_states
 WHERE status = 3;

-- What people did with entries of either kind, and why. Appended, never changed.
CREATE TABLE dead_letter_actions (
    action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dead_letter_id bigint NOT NULL,
    log_id uuid,
    action text NOT NULL CHECK (action IN ('REDRIVEN', 'DISCARDED', 'SETTLED')),
    -- As the operator's system names the operator, and as the database does.
    operator text NOT NULL,
    database_user text NOT NULL DEFAULT session_user,
    reason text NOT NULL,
    acted_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON dead_letter_actions (dead_letter_id);
