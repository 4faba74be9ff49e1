import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useCallback } from 'react'
import { useTranslation } from 'react-i18next'
import type { newDeviceSchema } from '../../../src/devices/schema.ts'
import { faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Field } from '../../shared/field.tsx'
import { typed } from '../../shared/form-dialog.tsx'
import { PairingCode } from '../devices/pairing-code.tsx'
import { api } from '../session.ts'
import type { Device, Progress } from './progress.ts'
import { StepForm } from './step-form.tsx'

/** Makes the first kiosk and pairs it; one that was made and not paired is gone on with. */
export function KioskStep({ progress, onDone }: { progress: Progress; onDone: () => void }) {
  const paired = progress.devices.find((device) => device.paired)
  const waiting = progress.devices.find((device) => !device.paired)
  if (paired) return <Paired device={paired} onDone={onDone} />
  return waiting ? <Pair device={waiting} onSkip={onDone} /> : <Add onSkip={onDone} />
}

function Add({ onSkip }: { onSkip: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: Sent<typeof newDeviceSchema>) =>
      api<Device>('/devices/register', { method: 'POST', body }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['devices', 'start'] }),
  })
  const fault = (field: string) => faultOf(add.error, field)
  return (
    <StepForm
      title={t('start.steps.kiosk')}
      about={t('start.kioskAbout')}
      act={t('start.showCode')}
      busy={add.isPending}
      error={fault('device_id') ? undefined : add.error}
      isDone={false}
      onSubmit={(form) =>
        add.mutate({ device_id: typed(form, 'device_id'), name: typed(form, 'name') || undefined })
      }
      onSkip={onSkip}
    >
      <Field
        label={t('devices.name')}
        hint={t('devices.nameHint')}
        name="name"
        defaultValue={t('start.entrance')}
        maxLength={200}
        autoFocus
      />
      <Field
        label={t('devices.id')}
        hint={t('devices.idHint')}
        error={fault('device_id')}
        name="device_id"
        defaultValue="KIOSK_001"
        maxLength={64}
        required
      />
    </StepForm>
  )
}

function Pair({ device, onSkip }: { device: Device; onSkip: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const onPaired = useCallback(() => {
    queries.invalidateQueries({ queryKey: ['devices', 'start'] })
  }, [queries])
  return (
    <div className="flex flex-col gap-4">
      <h2 className="font-semibold text-xl">{t('devices.pairing', { name: device.name })}</h2>
      <PairingCode device={device} onPaired={onPaired} />
      <div>
        <Button look="quiet" onClick={onSkip}>
          {t('start.skip')}
        </Button>
      </div>
    </div>
  )
}

function Paired({ device, onDone }: { device: Device; onDone: () => void }) {
  const { t } = useTranslation()
  return (
    <div className="flex flex-col gap-4">
      <h2 className="font-semibold text-xl">{t('start.steps.kiosk')}</h2>
      <p role="status" className="rounded-lg bg-good-soft p-4 font-medium text-good">
        <span aria-hidden="true">✓ </span>
        {t('devices.pairedNow', { name: device.name })}
      </p>
      <p className="text-muted">{t('start.kioskDone')}</p>
      <div>
        <Button look="primary" onClick={onDone}>
          {t('start.goOn')}
        </Button>
      </div>
    </div>
  )
}
