import { z } from 'zod'
import { authorOf, callerId } from '../access/caller.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Clock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { type App, problems } from '../shared/http.ts'
import { wholeList } from '../shared/paging.ts'
import { type ModelSwitch, type PackState, type SwitchRow, secondsLeft } from './model-switch.ts'
import { packSchema, startSchema, switchSchema } from './model-switch-schema.ts'

const tags = ['Recognition']

/** Changes of the model pack. */
export function modelSwitchRoutes(
  app: App,
  { modelSwitch, ledger, clock }: { modelSwitch: ModelSwitch; ledger: Ledger; clock: Clock },
): void {
  const answer = ({ report, ...row }: SwitchRow): z.infer<typeof switchSchema> => {
    const { skipped, resumed: _, ...judged } = report
    return {
      ...row,
      estimated_seconds_left: secondsLeft({ ...row, report }, clock.now()),
      skipped: skipped.map(({ sample_id, ...one }) => ({ ...one, photo_id: sample_id })),
      ...judged,
    }
  }

  app.get(
    '/recognition/models',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: 'The model packs: the one in use, and which others this machine can switch to',
        response: { 200: z.array(packSchema), ...problems },
      },
    },
    async (request, reply) => wholeList(request, reply, (await modelSwitch.packs()).map(packAnswer)),
  )

  app.post(
    '/recognition/models/switch',
    {
      config: { access: 'models:write' },
      schema: {
        tags,
        summary: 'Begin to change the face models',
        description:
          'Everybody is embedded anew from their stored photos, beside the check-ins, while the pack in use goes on ' +
          'answering. Then the switch is ready, with a report, and waits to be confirmed.',
        body: startSchema,
        response: { 202: switchSchema, ...problems },
      },
    },
    async (request, reply) => {
      const change = ledger.by(authorOf(request))
      const row = await modelSwitch.start(change, callerId(request.caller), request.body.pack)
      return reply.code(202).send(answer(row))
    },
  )

  app.get(
    '/recognition/models/switch',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: 'The change of the face models that is under way, or else the last one',
        response: { 200: switchSchema, ...problems },
      },
    },
    async () => {
      const [newest] = await modelSwitch.list()
      if (!newest) throw new AppError('switch_not_found', 'The models were never changed.')
      return answer(newest)
    },
  )

  app.get(
    '/recognition/models/switches',
    {
      config: { access: 'system:read' },
      schema: {
        tags,
        summary: 'All changes of the face models, newest first',
        response: { 200: z.array(switchSchema), ...problems },
      },
    },
    async (request, reply) => wholeList(request, reply, (await modelSwitch.list()).map(answer)),
  )

  app.post(
    '/recognition/models/switch/confirm',
    {
      config: { access: 'models:write' },
      schema: {
        tags,
        summary: 'Take the new face models into use',
        description:
          'Who was enrolled since the report is embedded first. Every server process changes over within seconds; until ' +
          'then enrolments are answered 503 with the code pack_changed, and may be sent again. The way back is a switch ' +
          'to the former pack.',
        response: { 200: switchSchema, ...problems },
      },
    },
    async (request, reply) => {
      // It may take longer than a silent connection is left open: who listens keeps it from being cut off.
      reply.raw.on('timeout', () => {})
      return answer(await modelSwitch.confirm(ledger.by(authorOf(request))))
    },
  )

  app.post(
    '/recognition/models/switch/cancel',
    {
      config: { access: 'models:write' },
      schema: {
        tags,
        summary: 'Give up the change of the face models that is under way',
        description:
          'What was embedded stays, sealed like everything of a person and erased with it, so that another try is quick.',
        response: { 200: switchSchema, ...problems },
      },
    },
    async (request) => answer(await modelSwitch.cancel(ledger.by(authorOf(request)))),
  )
}

function packAnswer({ pack, inUse, unusable }: PackState): z.infer<typeof packSchema> {
  const { name, title, description, licence, files } = pack
  const lacks = unusable?.code === 'pack_not_measured' ? 'not_measured' : 'not_installed'
  return {
    name,
    title,
    description,
    licence: licence.name,
    state: inUse ? 'in_use' : unusable ? lacks : 'ready',
    message: unusable?.message ?? null,
    files: Object.entries(files).map(([file, { sha256 }]) => ({ name: file, sha256 })),
  }
}
