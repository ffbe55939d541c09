import { once } from 'node:events';
import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import {
  type CanActivate,
  type DynamicModule,
  type INestApplication,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import { ClientProxyFactory, type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { firstValueFrom } from 'rxjs';
import WebSocket from 'ws';
import type { TestApp } from './app.js';

type Guards = readonly (CanActivate | Type<CanActivate>)[];

/** GraphQL at `/graphql`, with the schema of the application's resolvers. */
export const graphqlModule = (options: Partial<ApolloDriverConfig> = {}): DynamicModule =>
  GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true, ...options });

/** Has gateways served by `ws`; for `prepare` of an application. */
export const overWs = (nest: INestApplication): void => void nest.useWebSocketAdapter(new WsAdapter(nest));

/**
 * Returns a gateway that replies `said` to `say`, with these decorators. Each test needs its own:
 * guards that are bound to a class outlive an application.
 */
export function gateway(limits: MethodDecorator | readonly MethodDecorator[], ...guards: Guards): Type {
  @WebSocketGateway()
  @UseGuards(...guards)
  class Gateway {
    @SubscribeMessage('say') say(@MessageBody() data: unknown) {
      return { event: 'said', data };
    }
  }
  for (const decorate of [limits].flat())
    decorate(Gateway.prototype, 'say', { value: Gateway.prototype.say });
  return Gateway;
}

interface SocketReply {
  readonly event: string;
  readonly data: unknown;
}

/** Opens a WebSocket. `say` sends a message of the event `say`, and returns the reply. */
export async function openSocket(app: TestApp) {
  const socket = new WebSocket(app.url.replace('http', 'ws'));
  await once(socket, 'open');
  return {
    async say(data: unknown): Promise<SocketReply> {
      const replied = once(socket, 'message');
      socket.send(JSON.stringify({ event: 'say', data }));
      return JSON.parse(String((await replied)[0]));
    },
    close: () => socket.close(),
  };
}

/** Adds a TCP microservice to an application; for `prepare`. */
export const overTcp =
  (inheritAppConfig = false) =>
  (nest: INestApplication): void =>
    void nest.connectMicroservice<MicroserviceOptions>(
      { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
      { inheritAppConfig },
    );

/** Starts the TCP microservice of an application. `send` returns the first reply to a message. */
export async function startTcp({ app }: TestApp) {
  await app.startAllMicroservices();
  const [service] = app.getMicroservices();
  const server = service?.unwrap<{ address(): { port: number } }>();
  const options = { host: '127.0.0.1', port: server?.address().port ?? 0 };
  const client = ClientProxyFactory.create({ transport: Transport.TCP, options });
  return {
    client,
    send: <T>(pattern: string, data: unknown = {}) => firstValueFrom(client.send<T>(pattern, data)),
    close: () => client.close(),
  };
}
