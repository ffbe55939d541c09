import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { MeterLike } from 'nestjs-ratelimit';

/** Serves metrics for Prometheus at `/metrics`, on a port of their own. */
export function serveMetrics(port: number): { readonly meter: MeterLike; close(): Promise<void> } {
  const exporter = new PrometheusExporter({ port });
  const provider = new MeterProvider({ readers: [exporter] });
  return { meter: provider.getMeter('nestjs-ratelimit'), close: () => provider.shutdown() };
}
