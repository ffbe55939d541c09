import { UseGuards } from '@nestjs/common';
import { RateLimit } from 'nestjs-ratelimit';
import { AuthGuard, routes } from './app.js';

/** A route for each kind of event and metric. */
export const Shop = routes({
  '/two': RateLimit({ name: 'two', rate: '2/min' }),
  '/blocked': RateLimit({ name: 'blocks', rate: '1/min', block: '15min' }),
  '/shadow': RateLimit({ name: 'dry', rate: '1/min', shadow: true }),
  '/mine': [
    UseGuards(new AuthGuard()),
    RateLimit({ name: 'address', rate: '9/min' }),
    RateLimit({ name: 'user', rate: '1/min', key: 'user' }),
  ],
  '/never': RateLimit({ name: 'never', rate: '5/min', cost: () => 9, phase: 'before-guards' }),
  '/closed': RateLimit({ name: 'closed', rate: '5/min', failMode: 'closed' }),
  '/free': [],
});
