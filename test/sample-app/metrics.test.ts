import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createShop } from '../../sample-app/app.js';
import { serveMetrics } from '../../sample-app/metrics.js';
import { freePort } from '../support/redis/ports.js';

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
}

const dashboard = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../docs/grafana-dashboard.json', import.meta.url)), 'utf8'),
) as Dashboard;

test('the shop serves metrics to Prometheus, and the dashboard uses only those', async () => {
  const port = await freePort();
  const metrics = serveMetrics(port);
  const shop = await createShop({ meter: metrics.meter, logger: ['error'] });
  try {
    await shop.listen(0, '127.0.0.1');
    const url = await shop.getUrl();
    for (let i = 0; i < 61; i++) await (await fetch(`${url}/pages?path=/`)).arrayBuffer();
    const text = await (await fetch(`http://localhost:${port}/metrics`)).text();
    expect(text).toMatch(
      /^rate_limit_decisions_total\{rate_limit_name="burst",code_function_name="PagesController\.page",rate_limit_outcome="denied"[^}]*\} 1\b/m,
    );
    expect(text).toMatch(/^rate_limit_decision_duration_bucket\{rate_limit_store="memory",/m);

    const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(expressions.length).toBeGreaterThan(8);
    for (const expression of expressions) {
      // Some exporters put the unit behind a name, others do not.
      const used = expression.match(/\brate_limit_[\w()?]+|\bcode_\w+/g) ?? [];
      expect(used.length).toBeGreaterThan(0);
      for (const name of used) expect(text).toMatch(new RegExp(`\\b${name.replace(/\)$/, '')}\\b`));
    }
  } finally {
    await shop.close();
    await metrics.close();
  }
});
