import 'reflect-metadata';
import { type INestApplication, type LogLevel, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { MemoryStore, RateLimitModule, type Store } from 'nestjs-ratelimit';
import { AccountController } from './account.controller.js';
import { AuthController } from './auth.controller.js';
import { CatalogueController } from './catalogue.controller.js';
import { HomeController } from './home.controller.js';
import { IntegrationsController } from './integrations.controller.js';
import { shopLimits } from './limits.js';
import { OrdersController } from './orders.controller.js';
import { PagesController } from './pages.controller.js';
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
  providers: [{ provide: APP_GUARD, useClass: TokenGuard }],
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

/** The shop, ready to listen. It trusts a proxy on this machine to tell the address of a client. */
export async function createShop({
  platform = 'express',
  store = new MemoryStore(),
  logger = ['error', 'warn', 'log'],
}: ShopOptions = {}): Promise<INestApplication> {
  const module = {
    module: ShopModule,
    imports: [RateLimitModule.forRoot(shopLimits(store))],
  };
  const options = { logger, abortOnError: false };
  if (platform === 'fastify') {
    const adapter = new FastifyAdapter({ trustProxy: 'loopback' });
    return NestFactory.create<NestFastifyApplication>(module, adapter, options);
  }
  const app = await NestFactory.create<NestExpressApplication>(module, new ExpressAdapter(), options);
  app.set('trust proxy', 'loopback');
  return app;
}
