import { Controller, Get, UseGuards } from '@nestjs/common';
import { RateLimit } from 'nestjs-ratelimit';
import { AuthGuard } from './app.js';

/** A route for each kind of event and metric. */
@Controller()
export class Shop {
  @Get('two') @RateLimit({ name: 'two', rate: '2/min' }) two() {
    return 'ok';
  }
  @Get('blocked') @RateLimit({ name: 'blocks', rate: '1/min', block: '15min' }) blocked() {
    return 'ok';
  }
  @Get('shadow') @RateLimit({ name: 'dry', rate: '1/min', shadow: true }) shadow() {
    return 'ok';
  }
  @Get('mine')
  @UseGuards(new AuthGuard())
  @RateLimit({ name: 'address', rate: '9/min' })
  @RateLimit({ name: 'user', rate: '1/min', key: 'user' })
  mine() {
    return 'ok';
  }
  @Get('never') @RateLimit({ name: 'never', rate: '5/min', cost: () => 9, phase: 'before-guards' }) never() {
    return 'ok';
  }
  @Get('closed') @RateLimit({ name: 'closed', rate: '5/min', failMode: 'closed' }) closed() {
    return 'ok';
  }
  @Get('free') free() {
    return 'ok';
  }
}
