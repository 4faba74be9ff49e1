import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Button } from '../../shared/button.tsx'
import { Confirm } from '../../shared/dialog.tsx'
import { dateTime, number } from '../../shared/i18n.ts'
import { Refusal } from '../../shared/refusal.tsx'
import { api, useMe } from '../session.ts'
import type { Calibration } from './calibrations.ts'

/** Lets the people of this site lower the threshold below what the pack asks for, or takes that back. */
export function Lowering({ calibration }: { calibration: Calibration }) {
  const { t } = useTranslation()
  const { may } = useMe()
  const [isAsked, setAsked] = useState(false)
  const { lowering, thresholds } = calibration
  const isAccepted = lowering.accepted_at !== null
  if (!isAccepted && !lowering.possible) return null
  const act = isAccepted ? 'takeBack' : 'accept'
  return (
    <div className="flex flex-wrap items-center justify-between gap-3 rounded-xl bg-sunken p-4">
      <p className="max-w-2xl">
        {isAccepted
          ? t('recognition.lowering.holds', { time: dateTime(lowering.accepted_at!) })
          : t('recognition.lowering.possible', {
              site: number(Math.max(thresholds.site ?? 0, thresholds.configured), 3),
              pack: number(thresholds.pack, 3),
            })}
      </p>
      {may('recognition:calibrate') && (
        <Button onClick={() => setAsked(true)}>{t(`recognition.lowering.act.${act}`)}</Button>
      )}
      {isAsked && <AskLowering id={calibration.id} act={act} onClose={() => setAsked(false)} />}
    </div>
  )
}

function AskLowering({ id, act, onClose }: { id: number; act: 'accept' | 'takeBack'; onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const change = useMutation({
    mutationFn: () =>
      api<Calibration>(`/recognition/calibration/${id}/accept`, {
        method: act === 'accept' ? 'POST' : 'DELETE',
      }),
    onSuccess: (calibration) => {
      queries.setQueryData(['calibration'], calibration)
      for (const key of ['calibrations', 'models-status']) queries.invalidateQueries({ queryKey: [key] })
      onClose()
    },
  })
  return (
    <Confirm
      title={t(`recognition.lowering.ask.${act}`)}
      act={t(`recognition.lowering.act.${act}`)}
      busy={change.isPending}
      onConfirm={() => change.mutate()}
      onClose={onClose}
    >
      <p>{t(`recognition.lowering.means.${act}`)}</p>
      <Refusal error={change.error} />
    </Confirm>
  )
}
