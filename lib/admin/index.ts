export { RateLimitAdminModule } from './module.js';
export type {
  AdminGuard,
  RateLimitAdminAccess,
  RateLimitAdminAsyncOptions,
  RateLimitAdminOptions,
  RateLimitAdminRouteOptions,
} from './options.js';
