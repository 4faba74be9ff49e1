import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api, useMe } from '../session.ts'
import { SwitchReport } from './switch-report.tsx'
import type { Change } from './switches.ts'

const acts = ['confirm', 'cancel'] as const
type Act = (typeof acts)[number]

/** The change of the models that is under way: how far it is, then what it would change, and the decision. */
export function SwitchCard({ change }: { change: Change }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const [asked, setAsked] = useState<Act>()
  const { from_pack: from, to_pack: to, state, done, total, estimated_seconds_left: left } = change
  const isReady = state === 'ready'
  return (
    <Card
      title={t('recognition.switch.title', { from, to })}
      aside={
        may('models:write') && (
          <div className="flex flex-wrap gap-2">
            <Button onClick={() => setAsked('cancel')}>{t('recognition.switch.cancel')}</Button>
            {isReady && (
              <Button look="primary" onClick={() => setAsked('confirm')}>
                {t('recognition.switch.confirm')}
              </Button>
            )}
          </div>
        )
      }
    >
      <div className="flex flex-col gap-4 p-4">
        {isReady ? (
          <SwitchReport change={change} />
        ) : (
          <>
            <p className="text-muted">{t('recognition.switch.embedding')}</p>
            <progress
              aria-label={t('recognition.switch.progress')}
              value={done}
              max={Math.max(1, total)}
              className="h-3 w-full appearance-none overflow-hidden rounded-full bg-sunken [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-sunken [&::-webkit-progress-value]:bg-accent"
            />
            <p className="tabular-nums">
              {t('recognition.switch.photos', { done: number(done), total: number(total) })}
              {left !== null && ` · ${t('recognition.switch.left', { seconds: number(Math.ceil(left)) })}`}
            </p>
          </>
        )}
      </div>
      {asked && <EndSwitch act={asked} change={change} onClose={() => setAsked(undefined)} />}
    </Card>
  )
}

function EndSwitch({ act, change, onClose }: { act: Act; change: Change; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const end = useMutation({
    mutationFn: () => api(`/recognition/models/switch/${act}`, { method: 'POST' }),
    onSuccess: () => {
      for (const key of ['switches', 'packs', 'models-status', 'calibration', 'calibrations'])
        queries.invalidateQueries({ queryKey: [key] })
      tell(t(`recognition.switch.done.${act}`, { pack: change.to_pack }))
      onClose()
    },
  })
  const lost = change.unrecognisable.length
  return (
    <Confirm
      title={t(`recognition.switch.ask.${act}`, { pack: change.to_pack })}
      act={t(`recognition.switch.${act}`)}
      busy={end.isPending}
      onConfirm={() => end.mutate()}
      onClose={onClose}
    >
      <p>{t(`recognition.switch.means.${act}`, { pack: change.from_pack })}</p>
      {act === 'confirm' && lost > 0 && (
        <p className="text-bad">{t('recognition.switch.losing', { count: lost })}</p>
      )}
      <Refusal error={end.error} />
    </Confirm>
  )
}
