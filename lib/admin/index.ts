export { RateLimitAdminModule } from './module.js';
export type {
  AdminGuard,
  RateLimitAdminAccess,
  RateLimitAdminAsyncOptions,
  RateLimitAdminOptions,
  RateLimitAdminPlace,
} from './options.js';
