import { z } from 'zod'
import { requireOwnDevice } from '../access/guard.ts'
import type { Database } from '../database/tables.ts'
import { deviceId } from '../devices/schema.ts'
import { actions, CHALLENGE_MS } from '../face/pad/challenge.ts'
import type { Clock } from '../shared/clock.ts'
import { type App, problems } from '../shared/http.ts'
import { issueChallenge } from './liveness-challenge.ts'

const challengeForm = z.object({ device_id: deviceId })

const challengeSchema = z
  .object({
    challenge: z.string().describe('Send it back with the pictures; it is good once, and at this kiosk only'),
    steps: z
      .array(z.enum(actions))
      .describe("What the person is asked to do, in this order; left and right are the person's own"),
    expires_at: z.date().describe('By when the pictures must be at the server'),
    expires_in_ms: z.number(),
  })
  .meta({ id: 'LivenessChallenge' })

/** What a kiosk asks somebody to do, to show that a live person stands there. */
export function livenessRoutes(app: App, { db, clock }: { db: Database; clock: Clock }): void {
  app.post(
    '/recognition/liveness/challenge',
    {
      config: { access: 'attendance:check' },
      schema: {
        tags: ['Recognition'],
        summary: 'A random sequence of movements, to be shown in the pictures of one check',
        description:
          'Show the steps one after the other, take 3 or 4 pictures of each, at most 12 in all, and send them to ' +
          '/attendance/check with `challenge` and `frame_ms`. The first pictures show the face at rest.',
        body: challengeForm,
        response: { 200: challengeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { device_id } = request.body
      requireOwnDevice(request.caller, device_id)
      const { nonce, steps, expiresAt } = await issueChallenge(db, device_id, clock.now())
      reply.header('cache-control', 'no-store')
      return { challenge: nonce, steps, expires_at: expiresAt, expires_in_ms: CHALLENGE_MS }
    },
  )
}
