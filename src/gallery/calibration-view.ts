import type { z } from 'zod'
import type { Database } from '../database/tables.ts'
import type { Page } from '../shared/paging.ts'
import { TARGET_FPIR, type Thresholds, thresholdsOf } from './calibration.ts'
import { storedReport } from './calibration-report.ts'
import type { calibrationSchema } from './calibration-schema.ts'
import { MIN_PEOPLE_FOR_TAIL } from './calibration-scores.ts'
import { fpirAt, intervalOf, thresholdOfTail } from './calibration-tail.ts'
import { listLookAlikes, type NamedLookAlike } from './look-alikes.ts'

type CalibrationView = z.infer<typeof calibrationSchema>

/** The newest calibration of a pack as it is shown, at the present size of the gallery; undefined where there is none. */
export async function viewCalibration(
  db: Database,
  pack: string,
  { configured, people }: { configured: number; people: number },
  /** Who may be shown with their names. */
  maySee: (person: { department: string | null }) => boolean,
): Promise<CalibrationView | undefined> {
  const row = await db
    .selectFrom('calibrations')
    .select(['id', 'created_at', 'people', 'cohort', 'report', 'lowered_by', 'lowered_at'])
    .where('pack', '=', pack)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!row) return undefined
  const report = storedReport.safeParse(row.report).data
  const tail = report?.tail ?? null
  const of = (lowered: boolean) => thresholdsOf(configured, people, { tail, lowered })
  const { threshold, thresholds } = of(row.lowered_at !== null)
  const fpirOf = (line: Parameters<typeof fpirAt>[0]) => fpirAt(line, people, threshold)
  const fpir = tail && {
    target: TARGET_FPIR,
    predicted: fpirOf(tail),
    interval: intervalOf(tail, fpirOf),
  }
  return {
    id: row.id,
    pack,
    scale: report?.scale ?? null,
    made_at: row.created_at,
    people: row.people,
    cohort_size: row.cohort?.length ?? 0,
    compared: report?.compared ?? 0,
    comparisons: report?.comparisons ?? 0,
    message: inWords(thresholds, threshold, fpir),
    thresholds: {
      ...thresholds,
      in_force: threshold,
      site_interval: tail && intervalOf(tail, (line) => thresholdOfTail(line, people, TARGET_FPIR)),
    },
    fpir,
    lowering: {
      possible: of(true).threshold < of(false).threshold,
      accepted_by: row.lowered_by,
      accepted_at: row.lowered_at,
    },
    tail,
    curves: report?.curves ?? null,
    look_alikes: pseudonymous(await listLookAlikes(db, pack), maySee),
  }
}

function inWords(
  { configured, pack, site, lowered }: Thresholds,
  threshold: number,
  fpir: CalibrationView['fpir'],
): string {
  if (site === null || fpir === null)
    return (
      `The threshold is ${show(threshold)}. The people of this site are too few to say how often they are taken for ` +
      `each other: that takes ${MIN_PEOPLE_FOR_TAIL} active people with a template.`
    )
  const rule = lowered
    ? "what the people of this site ask for, below the model pack's own, as an administrator accepted"
    : threshold === configured
      ? 'FACE_RECOGNITION_THRESHOLD'
      : threshold === pack
        ? "the model pack's own for so many people"
        : "what the people of this site ask for, above the model pack's own"
  return (
    `The threshold is ${show(threshold)}: ${rule}. Of 1,000 strangers ${show(1000 * fpir.predicted)} would be taken for ` +
    `somebody (95% interval ${fpir.interval.map((rate) => show(1000 * rate)).join(' to ')}).`
  )
}

const show = (value: number) => String(Number(value.toPrecision(3)))

function pseudonymous(
  pairs: readonly NamedLookAlike[],
  maySee: (person: { department: string | null }) => boolean,
): CalibrationView['look_alikes'] {
  const labels = new Map<string, string>()
  const labelOf = (id: string) => {
    if (!labels.has(id)) labels.set(id, `Person ${labels.size + 1}`)
    return labels.get(id)!
  }
  return pairs.map(({ people, origin, confidence, margin }) => {
    const seen = people.every(maySee)
    return {
      people: people.map(({ employeeId, name }) => ({
        label: labelOf(employeeId),
        employee_id: seen ? employeeId : null,
        name: seen ? name : null,
      })),
      origin,
      confidence,
      margin,
    }
  })
}

/** The calibrations of all packs, newest first. */
export async function listCalibrations(db: Database, { limit, skip }: Page) {
  const { total } = await db
    .selectFrom('calibrations')
    .select(({ fn }) => fn.countAll<string>().as('total'))
    .executeTakeFirstOrThrow()
  const rows = await db
    .selectFrom('calibrations')
    .select([
      'id',
      'pack',
      'created_at',
      'people',
      'cohort',
      'threshold',
      'report',
      'lowered_by',
      'lowered_at',
    ])
    .orderBy('id', 'desc')
    .limit(limit)
    .offset(skip)
    .execute()
  const calibrations = rows.map((row) => {
    const report = storedReport.safeParse(row.report).data
    return {
      id: row.id,
      pack: row.pack,
      scale: report?.scale ?? null,
      made_at: row.created_at,
      people: row.people,
      cohort_size: row.cohort?.length ?? 0,
      comparisons: report?.comparisons ?? null,
      threshold: row.threshold,
      accepted_by: row.lowered_by,
      accepted_at: row.lowered_at,
    }
  })
  return { calibrations, total: Number(total) }
}

/** A calibration for whoever reads a terminal. */
export function describeCalibration(view: CalibrationView): string {
  const { thresholds, fpir, lowering, tail } = view
  const range = (values: readonly number[] | null) =>
    values ? ` (95%: ${values.map(show).join(' to ')})` : ''
  const lines = [
    `Calibration ${view.id} of ${view.pack}, from ${view.people} people (${view.compared} of them compared: ` +
      `${view.comparisons} comparisons), ${view.scale} scores`,
    view.message,
    '',
    `threshold in force      ${show(thresholds.in_force)}`,
    `  configured            ${show(thresholds.configured)}`,
    `  of the model pack     ${show(thresholds.pack)}`,
    `  of this site          ${thresholds.site === null ? '-' : show(thresholds.site)}${range(thresholds.site_interval)}`,
    `strangers let through   ${fpir ? `${show(fpir.predicted)}${range(fpir.interval)}, target ${fpir.target}` : '-'}`,
  ]
  if (tail)
    lines.push(
      `false matches fall by ${show(tail.slope)} decades where the pack's table has them fall by one`,
    )
  for (const { people, confidence, margin, origin } of view.look_alikes)
    lines.push(
      `alike: ${people.map(({ employee_id, name }) => `${employee_id} ${name}`).join(' and ')}, ` +
        `${confidence === null ? origin : `confidence ${show(confidence)}`}, margin ${show(margin)}`,
    )
  if (lowering.possible && lowering.accepted_at === null)
    lines.push(
      '',
      'This site would do with a lower threshold than the model pack asks for. An administrator can accept that: ' +
        `POST /api/v1/recognition/calibration/${view.id}/accept`,
    )
  return lines.join('\n')
}
