import { createParamDecorator } from '@nestjs/common'
import type { ExecutionContext } from '@nestjs/common'
import type { Request } from 'express'

/** The roles of whoever asks. In your app they come from the session; here a header stands for it. */
export function rolesOf({ headers }: Pick<Request, 'headers'>): string[] {
  const { 'x-roles': roles } = headers
  return typeof roles === 'string' ? roles.split(',').map((role) => role.trim()) : []
}

export const Roles = createParamDecorator((_: unknown, context: ExecutionContext) =>
  rolesOf(context.switchToHttp().getRequest<Request>()),
)
