import 'reflect-metadata';
import { type INestApplication, type LogLevel, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { MemoryStore, RateLimitModule, type Store } from 'nestjs-ratelimit';
import { AccountController } from './account.controller.js';
import { AuthController } from './auth.controller.js';
import { CatalogueController } from './catalogue.controller.js';
import { HomeController } from './home.controller.js';
import { IntegrationsController } from './integrations.controller.js';
import { shopLimits } from './limits.js';
import { OrdersController } from './orders.controller.js';
import { PagesController } from './pages.controller.js';
import { PartnerKey, PartnerRate, Partners } from './partners.js';
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

/** How to make the shop. */
export interface ShopOptions {
  /** Default: Express. */
  readonly platform?: 'express' | 'fastify';
  /** Default: the embedded store. */
  readonly store?: Store;
  readonly logger?: LogLevel[];
}

/** The shop, ready to listen. */
export async function createShop({
  platform = 'express',
  store = new MemoryStore(),
  logger = ['error', 'warn', 'log'],
}: ShopOptions = {}): Promise<INestApplication> {
  const module = {
    module: ShopModule,
    imports: [RateLimitModule.forRoot(shopLimits(store))],
  };
  const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  return NestFactory.create(module, adapter, { logger, abortOnError: false });
}
