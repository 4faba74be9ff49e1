import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type {
  deletionAnswer,
  deviceChangesSchema,
  deviceSchema,
  keyAnswer,
  newDeviceSchema,
} from '../../../src/devices/schema.ts'
import { type Answer, faultOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Confirm, Dialog } from '../../shared/dialog.tsx'
import { Field, Select } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { Refusal } from '../../shared/refusal.tsx'
import { SecretText } from '../../shared/secret-text.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import { useSites } from '../sites.ts'
import { PairingCode } from './pairing-code.tsx'

export type Device = Answer<typeof deviceSchema>
type Changes = Sent<typeof deviceChangesSchema>

const pathOf = ({ device_id }: Device) => `/devices/${encodeURIComponent(device_id)}`

export function AddKiosk({ onAdded, onClose }: { onAdded: (device: Device) => void; onClose: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const add = useMutation({
    mutationFn: (body: Sent<typeof newDeviceSchema>) =>
      api<Device>('/devices/register', { method: 'POST', body }),
    onSuccess: (device) => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      onAdded(device)
    },
  })
  const submit = (form: FormData) => {
    const name = typed(form, 'name')
    const site = Number(typed(form, 'site_id'))
    add.mutate({
      device_id: typed(form, 'device_id'),
      ...(name && { name }),
      ...(site > 0 && { site_id: site }),
    })
  }
  const fault = faultOf(add.error, 'device_id')
  return (
    <FormDialog
      title={t('devices.add')}
      act={t('devices.add')}
      busy={add.isPending}
      error={fault ? undefined : add.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Field
        label={t('devices.id')}
        hint={t('devices.idHint')}
        error={fault}
        name="device_id"
        maxLength={64}
        required
      />
      <Field label={t('devices.name')} hint={t('devices.nameHint')} name="name" maxLength={200} />
      <SiteSelect />
    </FormDialog>
  )
}

/** At which site it stands; nothing to choose where there is one only. */
function SiteSelect({ value }: { value?: number }) {
  const { t } = useTranslation()
  const { sites } = useSites()
  if (!sites || sites.length < 2) return null
  return (
    <Select label={t('devices.site')} name="site_id" defaultValue={value}>
      {sites.map(({ id, name }) => (
        <option key={id} value={id}>
          {name}
        </option>
      ))}
    </Select>
  )
}

export function PairKiosk({ device, onClose }: { device: Device; onClose: () => void }) {
  const { t } = useTranslation()
  return (
    <Dialog title={t('devices.pairing', { name: device.name })} onClose={onClose}>
      <PairingCode device={device} />
      <div className="mt-6 flex justify-end">
        <Button onClick={onClose}>{t('common.close')}</Button>
      </div>
    </Dialog>
  )
}

/** What is done to a kiosk, after which all that is shown of kiosks is read anew. */
function useAct<T>(act: () => Promise<T>, onDone: (answer: T) => unknown) {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: act,
    onSuccess: async (answer) => {
      // Before: the page of a kiosk that is gone must not ask for it once more.
      await onDone(answer)
      queries.invalidateQueries({ queryKey: ['devices'] })
    },
  })
}

interface ActProps {
  device: Device
  onClose: () => void
}

export function RevokeKey({ device, onClose }: ActProps) {
  const { t } = useTranslation()
  const tell = useToast()
  const revoke = useAct(
    () => api(`${pathOf(device)}/key`, { method: 'DELETE' }),
    () => {
      tell(t('devices.revoked'))
      onClose()
    },
  )
  return (
    <Confirm
      title={t('devices.revokeOf', { name: device.name })}
      act={t('devices.revoke')}
      busy={revoke.isPending}
      onConfirm={() => revoke.mutate()}
      onClose={onClose}
    >
      <p>{t('devices.revokeMeans')}</p>
      <Refusal error={revoke.error} />
    </Confirm>
  )
}

/** A key for a kiosk program that takes one as a setting; the kiosk page gets its own by pairing. */
export function RotateKey({ device, onClose }: ActProps) {
  const { t } = useTranslation()
  const rotate = useAct(
    () => api<Answer<typeof keyAnswer>>(`${pathOf(device)}/rotate-key`, { method: 'POST' }),
    () => {},
  )
  if (rotate.data)
    return (
      <Dialog title={t('devices.newKeyOf', { name: device.name })} onClose={onClose}>
        <p className="mb-4 text-muted">{t('devices.newKeyOnce')}</p>
        <SecretText label={t('devices.key')} value={rotate.data.device_key} />
        <div className="mt-6 flex justify-end">
          <Button onClick={onClose}>{t('common.close')}</Button>
        </div>
      </Dialog>
    )
  return (
    <Confirm
      title={t('devices.rotateOf', { name: device.name })}
      act={t('devices.rotate')}
      busy={rotate.isPending}
      onConfirm={() => rotate.mutate()}
      onClose={onClose}
    >
      <p>{t('devices.rotateMeans')}</p>
      <p>{t('devices.rotateElse')}</p>
      <Refusal error={rotate.error} />
    </Confirm>
  )
}

export function DeleteKiosk({ device, onDeleted, onClose }: ActProps & { onDeleted: () => unknown }) {
  const { t } = useTranslation()
  const tell = useToast()
  const remove = useAct(
    () => api<Answer<typeof deletionAnswer>>(pathOf(device), { method: 'DELETE' }),
    ({ action }) => {
      tell(t(action === 'deleted' ? 'devices.deleted' : 'devices.deletedKept', { name: device.name }))
      return onDeleted()
    },
  )
  return (
    <Confirm
      title={t('devices.deleteOf', { name: device.name })}
      act={t('devices.delete')}
      busy={remove.isPending}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <p>{t('devices.deleteMeans')}</p>
      <Refusal error={remove.error} />
    </Confirm>
  )
}

/** Where it stands and how it works. */
export function EditKiosk({ device, onClose }: ActProps) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const save = useMutation({
    mutationFn: (body: Changes) =>
      api<Device>(pathOf(device), {
        method: 'PUT',
        body,
        headers: { 'if-match': `"${device.version}"` },
      }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      tell(t('devices.saved'))
      onClose()
    },
  })
  const submit = (form: FormData) => {
    const site = Number(typed(form, 'site_id'))
    const policy = typed(form, 'pad_policy')
    save.mutate({
      name: typed(form, 'name'),
      location: typed(form, 'location') || null,
      direction: typed(form, 'direction') as Changes['direction'],
      pad_policy: policy ? (policy as Changes['pad_policy']) : null,
      ...(site > 0 && { site_id: site }),
    })
  }
  const fault = (field: string) => faultOf(save.error, field)
  return (
    <FormDialog
      title={t('devices.editOf', { name: device.name })}
      act={t('devices.save')}
      busy={save.isPending}
      error={save.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Field
        label={t('devices.name')}
        error={fault('name')}
        name="name"
        defaultValue={device.name}
        maxLength={200}
        required
      />
      <Field
        label={t('devices.location')}
        error={fault('location')}
        hint={t('devices.locationHint')}
        name="location"
        defaultValue={device.location ?? ''}
        maxLength={200}
      />
      <SiteSelect value={device.site_id} />
      <Select
        label={t('devices.direction')}
        hint={t('devices.directionHint')}
        name="direction"
        defaultValue={device.direction}
      >
        {(['AUTO', 'IN', 'OUT'] as const).map((direction) => (
          <option key={direction} value={direction}>
            {t(`devices.directions.${direction}`)}
          </option>
        ))}
      </Select>
      <Select
        label={t('devices.policy')}
        hint={t('devices.policyHint')}
        name="pad_policy"
        defaultValue={device.pad_policy ?? ''}
      >
        <option value="">{t('devices.policies.server')}</option>
        {(['off', 'flag', 'enforce'] as const).map((policy) => (
          <option key={policy} value={policy}>
            {t(`devices.policies.${policy}`)}
          </option>
        ))}
      </Select>
    </FormDialog>
  )
}
