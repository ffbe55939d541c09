import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ThrottleScope } from 'nestjs-ratelimit';
import { SignedIn } from './token.guard.js';

@Controller()
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

  @Post('orders/1/payment')
  @HttpCode(202)
  @SignedIn()
  @ThrottleScope('payment')
  pay() {
    return { paid: true };
  }
}
