-- Begins what an operator does, in one round trip. It may hold the leader row: a frozen command
-- must not hold up a partition for longer than this.
BEGIN;
SET LOCAL lock_timeout = '5s';
SET LOCAL idle_in_transaction_session_timeout = '2s'
