-- What a team would write instead: balances, a log that is unique by account and key, and entries.
CREATE TABLE baseline_balances (
    account_id bigint NOT NULL,
    currency_code text COLLATE "C" NOT NULL,
    available numeric(36,18) NOT NULL CHECK (available >= 0),
    frozen numeric(36,18) NOT NULL CHECK (frozen >= 0),
    version bigint NOT NULL,
    PRIMARY KEY (account_id, currency_code)
) WITH (fillfactor = 70);

CREATE TABLE baseline_logs (
    log_id uuid NOT NULL,
    account_id bigint NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    logged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, idempotency_key)
);

CREATE TABLE baseline_entries (
    log_id uuid NOT NULL PRIMARY KEY,
    account_id bigint NOT NULL,
    currency_code text COLLATE "C" NOT NULL,
    available_delta numeric(36,18) NOT NULL,
    available_after numeric(36,18) NOT NULL,
    frozen_after numeric(36,18) NOT NULL,
    version bigint NOT NULL
);

-- The floor: rows of the same width with a primary key in order.
CREATE TABLE baseline_floor (
    number bigint NOT NULL PRIMARY KEY,
    log_id uuid NOT NULL,
    account_id bigint NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    currency_code text COLLATE "C" NOT NULL,
    available_delta numeric(36,18) NOT NULL
);

INSERT INTO baseline_balances
SELECT account, 'USDT', 1000000000, 0, 1 FROM generate_series(1, 100000) account;
