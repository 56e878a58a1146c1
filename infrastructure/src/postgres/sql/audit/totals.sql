-- Per currency, what all balances hold and what all applied deltas add up to. As text: a sum may
-- be larger than any amount. trim_scale makes equal sums equal texts.
SELECT currency_code,
       trim_scale(coalesce(b.total, 0))::text AS balances,
       trim_scale(coalesce(e.total, 0))::text AS entries
FROM (SELECT currency_code, sum(available) + sum(frozen) AS total
      FROM account_balances GROUP BY currency_code) b
FULL JOIN (SELECT currency_code, sum(available_delta) + sum(frozen_delta) AS total
           FROM ledger_entries GROUP BY currency_code) e USING (currency_code)
ORDER BY currency_code
