import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { packSchema } from '../../../src/gallery/model-switch-schema.ts'
import type { modelsStatusSchema } from '../../../src/gallery/schema.ts'
import type { Answer } from '../../shared/api.ts'
import { Badge, type Tone } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Dialog } from '../../shared/dialog.tsx'
import { Fact } from '../../shared/fact.tsx'
import { number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { Failed, Loading } from '../../shared/states.tsx'
import { Table } from '../../shared/table.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { PackFiles } from './pack-files.tsx'
import { SwitchCard } from './switch-card.tsx'
import { SwitchHistory } from './switch-history.tsx'
import { useSwitches } from './switches.ts'

type Pack = Answer<typeof packSchema>

const packLooks: Record<Pack['state'], [Tone, string]> = {
  in_use: ['good', '✓'],
  ready: ['info', '●'],
  not_measured: ['warn', '!'],
  licence_not_accepted: ['warn', '!'],
  not_installed: ['neutral', '–'],
}

/** What there is for tests of the program is of no use to anybody else. */
const isOffered = ({ name, state }: Pack) => state !== 'not_installed' || !name.startsWith('test-')

/** The networks in use, the others that there are, and the change from one to the other. */
export function ModelsView() {
  const { t, i18n } = useTranslation()
  const { may } = useMe()
  const [chosen, setChosen] = useState<Pack>()
  const aboutOf = ({ name, description }: Pack) => {
    const key = `recognition.packs.about.${name}` as 'recognition.packs.about.auraface'
    const isKnown: boolean = i18n.exists(key)
    return isKnown ? t(key) : description
  }
  const packs = useQuery({ queryKey: ['packs'], queryFn: () => api<Pack[]>('/recognition/models') })
  const { open } = useSwitches()
  const mayBegin = may('models:write') && !open
  return (
    <>
      <StatusCard />
      {open && <SwitchCard change={open} />}
      <Card title={t('recognition.packs.title')}>
        <Table
          caption={t('recognition.packs.title')}
          rows={{ ...packs, data: packs.data?.filter(isOffered) }}
          rowKey={({ name }) => name}
          empty={null}
          columns={[
            {
              id: 'name',
              header: t('recognition.packs.pack'),
              cell: (pack) => (
                <div className="max-w-xl">
                  <p className="font-medium">{pack.name}</p>
                  <p className="text-muted text-sm">{aboutOf(pack)}</p>
                </div>
              ),
            },
            { id: 'licence', header: t('recognition.packs.licence'), cell: ({ licence }) => licence },
            {
              id: 'state',
              header: t('recognition.packs.state'),
              cell: ({ state, name }) => {
                const [tone, symbol] = packLooks[state]
                return (
                  <div className="space-y-1">
                    <Badge tone={tone} symbol={symbol}>
                      {t(`recognition.packs.states.${state}`)}
                    </Badge>
                    {state === 'not_installed' && (
                      <code className="block break-words text-muted text-xs">
                        rollcall models install {name}
                      </code>
                    )}
                    {state === 'licence_not_accepted' && (
                      <code className="block break-all text-muted text-xs">
                        rollcall models install {name} --accept-licence
                      </code>
                    )}
                    {state === 'not_measured' && (
                      <code className="block break-words text-muted text-xs">
                        rollcall models measure {name} --faces DIR
                      </code>
                    )}
                  </div>
                )
              },
            },
            {
              id: 'acts',
              header: '',
              alignRight: true,
              cell: (pack) =>
                pack.state === 'ready' &&
                mayBegin && <Button onClick={() => setChosen(pack)}>{t('recognition.switch.begin')}</Button>,
            },
          ]}
        />
      </Card>
      {/* Below the table, which pushes it down when it comes. */}
      {packs.data && <SwitchHistory />}
      {chosen && <BeginSwitch pack={chosen} onClose={() => setChosen(undefined)} />}
    </>
  )
}

function StatusCard() {
  const { t } = useTranslation()
  const status = useQuery({
    queryKey: ['models-status'],
    queryFn: () => api<Answer<typeof modelsStatusSchema>>('/recognition/models/status'),
  })
  const { data: packs } = useQuery({
    queryKey: ['packs'],
    queryFn: () => api<Pack[]>('/recognition/models'),
  })
  const { data } = status
  if (data === undefined && status.error) return <Failed error={status.error} onRetry={status.refetch} />
  // As high as what comes, so that nothing below it moves.
  if (data === undefined || packs === undefined)
    return (
      <Card>
        <div className="min-h-62">
          <Loading />
        </div>
      </Card>
    )
  const active = packs.find(({ state }) => state === 'in_use')
  const { performance, models_loaded } = data
  const isReady = models_loaded.face_detector && models_loaded.face_recognizer
  return (
    <Card
      title={t('recognition.status.title', { pack: data.pack })}
      aside={
        <Badge tone={isReady ? 'good' : 'bad'} symbol={isReady ? '✓' : '!'}>
          {t(isReady ? 'recognition.status.ready' : 'recognition.status.failing')}
        </Badge>
      }
    >
      <dl className="grid grid-cols-2 gap-x-8 gap-y-4 p-4 sm:grid-cols-4">
        <Fact label={t('recognition.status.people')}>{number(data.people)}</Fact>
        <Fact label={t('recognition.status.threshold')}>{number(data.threshold, 3)}</Fact>
        <Fact label={t('recognition.status.mean')}>{number(performance.avg_processing_time * 1000)} ms</Fact>
        <Fact
          label={t('recognition.status.pictures')}
          hint={t('recognition.status.cached', { cached: number(performance.cache_hits) })}
        >
          {number(performance.total_recognitions)}
        </Fact>
        <Fact label={t('recognition.status.dimension')}>{number(data.embedding_dimension)}</Fact>
        <Fact label={t('recognition.status.scale')}>
          {t(`recognition.status.scales.${data.score_scale}`)}
        </Fact>
        <Fact label={t('recognition.status.calibration')}>
          {data.calibration_id === null ? '–' : `#${data.calibration_id}`}
        </Fact>
        <Fact label={t('recognition.status.pad')}>{t(`recognition.status.pads.${data.liveness}`)}</Fact>
      </dl>
      {active && (
        <PackFiles
          title={t('recognition.status.files', { count: active.files.length })}
          files={active.files}
        />
      )}
    </Card>
  )
}

/** Nothing changes at the kiosks yet: that is said first. */
function BeginSwitch({ pack, onClose }: { pack: Pack; onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const begin = useMutation({
    mutationFn: () => api('/recognition/models/switch', { method: 'POST', body: { pack: pack.name } }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['switches'] })
      onClose()
    },
  })
  return (
    <Dialog title={t('recognition.switch.beginTo', { pack: pack.name })} onClose={onClose}>
      <div className="mb-6 space-y-2 text-muted">
        <p>{t('recognition.switch.beginMeans')}</p>
        <p>{t('recognition.switch.licence', { licence: pack.licence })}</p>
        <Refusal error={begin.error} />
      </div>
      <div className="flex flex-wrap justify-end gap-3">
        <Button onClick={onClose}>{t('common.cancel')}</Button>
        <Button look="primary" busy={begin.isPending} onClick={() => begin.mutate()}>
          {t('recognition.switch.begin')}
        </Button>
      </div>
    </Dialog>
  )
}
