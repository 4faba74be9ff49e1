import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { dateTime } from '../../../shared/i18n.ts'
import { Card } from '../../page.tsx'
import { api } from '../../session.ts'
import { useZone } from '../../site-time.ts'
import { Direction, type Punch, PunchMarks } from '../marks.tsx'

/** A punch and all that took its place, oldest first; nothing where it was never corrected. */
export function ChainCard({ id }: { id: number }) {
  const { t } = useTranslation()
  const zone = useZone()
  const { data: chain } = useQuery({ queryKey: ['chain', id], queryFn: () => readChain(id) })
  if (!chain || chain.length < 2) return null
  return (
    <Card title={t('attendance.chain.title')}>
      <ol className="divide-y divide-line">
        {chain.map((punch) => (
          <li
            key={punch.id}
            aria-current={punch.id === id ? 'true' : undefined}
            className={`flex flex-col gap-1 px-4 py-3 ${punch.id === id ? 'bg-sunken' : ''}`}
          >
            <div className="flex flex-wrap items-center gap-2">
              <span className="text-muted tabular-nums">#{punch.id}</span>
              <Direction type={punch.attendance_type} />
              <time dateTime={punch.timestamp} className="tabular-nums">
                {dateTime(punch.timestamp, zone)}
              </time>
              <PunchMarks punch={punch} />
              {punch.id !== id && (
                <Link
                  to="."
                  search={
                    ((before: object) => ({ ...before, decision: undefined, explain: punch.id })) as never
                  }
                  className="font-medium text-accent underline"
                >
                  {t('attendance.why')}
                </Link>
              )}
            </div>
            {punch.notes && <p className="text-muted text-sm">{punch.notes}</p>}
          </li>
        ))}
      </ol>
    </Card>
  )
}

/** From the first punch to the one that stands. */
async function readChain(id: number): Promise<Punch[]> {
  const read = (one: number) => api<Punch>(`/attendance/${one}`)
  const chain = [await read(id)]
  while (chain[0].corrects !== null) chain.unshift(await read(chain[0].corrects))
  for (let last = chain.at(-1)!; last.superseded_by !== null; last = chain.at(-1)!)
    chain.push(await read(last.superseded_by))
  return chain
}
