import { useTranslation } from 'react-i18next'
import { Badge, type Tone } from '../../shared/badge.tsx'
import { dateTime } from '../../shared/i18n.ts'
import { Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { type Change, useSwitches } from './switches.ts'

const tones: Record<Change['state'], Tone> = {
  embedding: 'info',
  ready: 'info',
  switched: 'good',
  cancelled: 'neutral',
  failed: 'bad',
}

/** All changes of the models. The way back is another one. */
export function SwitchHistory() {
  const { t } = useTranslation()
  const { switches } = useSwitches()
  return (
    <Card title={t('recognition.switch.history')}>
      <Table
        caption={t('recognition.switch.history')}
        rows={switches}
        rowKey={({ id }) => id}
        empty={t('recognition.switch.never')}
        columns={[
          {
            id: 'started',
            header: t('recognition.switch.started'),
            cell: ({ started_at }) => <span className="tabular-nums">{dateTime(started_at)}</span>,
          },
          {
            id: 'packs',
            header: t('recognition.packs.pack'),
            cell: ({ from_pack, to_pack }) => `${from_pack} → ${to_pack}`,
          },
          {
            id: 'state',
            header: t('recognition.packs.state'),
            cell: ({ state, error }) => (
              <div>
                <Badge tone={tones[state]}>{t(`recognition.switch.states.${state}`)}</Badge>
                {error && <p className="text-bad text-sm">{error}</p>}
              </div>
            ),
          },
          {
            id: 'finished',
            header: t('recognition.switch.finished'),
            cell: ({ finished_at }) => (finished_at === null ? '–' : dateTime(finished_at)),
          },
        ]}
      />
      {switches.data?.some(({ state }) => state === 'switched') && (
        <p className="border-line border-t px-4 py-3 text-muted text-sm">{t('recognition.switch.wayBack')}</p>
      )}
    </Card>
  )
}
