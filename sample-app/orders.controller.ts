import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { RateLimit, ThrottleScope } from 'nestjs-ratelimit';
import { SignedIn } from './token.guard.js';

@Controller()
@RateLimit({ name: 'writes', rate: '60/hour', key: 'user|ip', methods: ['POST', 'PUT', 'PATCH', 'DELETE'] })
export class OrdersController {
  @Get('cart')
  @ThrottleScope('cart')
  cart() {
    return { items: [] };
  }

  @Post('cart')
  @HttpCode(200)
  @ThrottleScope('cart')
  addToCart() {
    return { items: ['1'] };
  }

  @Post('orders')
  @SignedIn()
  @ThrottleScope('order-create')
  createOrder() {
    return { order: 1 };
  }

  @Post('orders/:id/payment')
  @HttpCode(202)
  @SignedIn()
  @ThrottleScope('payment')
  pay() {
    return { paid: true };
  }
}
