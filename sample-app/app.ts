import 'reflect-metadata';
import { type INestApplication, type LogLevel, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { MemoryStore, type MeterLike, RateLimitModule, type Store } from 'nestjs-ratelimit';
import { RateLimitAdminModule } from 'nestjs-ratelimit/admin';
import { AccountController } from './account.controller.js';
import { AuthController } from './auth.controller.js';
import { CatalogueController } from './catalogue.controller.js';
import { HomeController } from './home.controller.js';
import { IntegrationsController } from './integrations.controller.js';
import { shopLimits } from './limits.js';
import { OrdersController } from './orders.controller.js';
import { PagesController } from './pages.controller.js';
import { PartnerKey, PartnerRate, Partners } from './partners.js';
import { StaffGuard } from './staff.guard.js';
import { TokenGuard } from './token.guard.js';

@Module({
  controllers: [
    HomeController,
    AuthController,
    CatalogueController,
    OrdersController,
    AccountController,
    IntegrationsController,
    PagesController,
  ],
  providers: [{ provide: APP_GUARD, useClass: TokenGuard }, Partners, PartnerKey, PartnerRate],
})
class ShopModule {}

/** Options of `createShop`. */
export interface ShopOptions {
  /** Default: Express. */
  readonly platform?: 'express' | 'fastify';
  /** Default: a store in memory. */
  readonly store?: Store;
  readonly logger?: LogLevel[];
  /** The meter for OpenTelemetry metrics. Default: no metrics. */
  readonly meter?: MeterLike | undefined;
}

/** Creates the shop, ready to listen. */
export async function createShop({
  platform = 'express',
  store = new MemoryStore(),
  logger = ['error', 'warn', 'log'],
  meter,
}: ShopOptions = {}): Promise<INestApplication> {
  const module = {
    module: ShopModule,
    imports: [
      RateLimitModule.forRoot({ ...shopLimits(store), meter }),
      RateLimitAdminModule.forRoot({ guards: [StaffGuard] }),
    ],
  };
  const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  return NestFactory.create(module, adapter, { logger, abortOnError: false });
}
