import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { newSiteSchema } from '../../../src/sites/schema.ts'
import { faultsOf, type Sent } from '../../shared/api.ts'
import { faultText } from '../../shared/fault-text.ts'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { TextArea } from '../../shared/text-area.tsx'
import { useToast } from '../../shared/toast.tsx'
import { api } from '../session.ts'
import type { Site } from '../sites.ts'
import { TimeZoneField } from '../time-zone-field.tsx'

/** A site with its rules; a new one where none is given. */
export function EditSite({ site, onClose }: { site?: Site; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [keeps, setKeeps] = useState(site?.keep_pictures ?? false)
  const save = useMutation({
    mutationFn: (body: Sent<typeof newSiteSchema>) =>
      site
        ? api(`/sites/${site.id}`, {
            method: 'PATCH',
            body,
            headers: { 'if-match': `"${site.version}"` },
          })
        : api('/sites', { method: 'POST', body }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['sites'] })
      tell(t('settings.saved'))
      onClose()
    },
  })
  const submit = (form: FormData) =>
    save.mutate({
      name: typed(form, 'name'),
      time_zone: typed(form, 'time_zone') || null,
      allowed_networks: typed(form, 'networks')
        .split(/[\s,;]+/)
        .filter((network) => network !== ''),
      require_consent: form.has('consent'),
      keep_pictures: keeps,
      ...(keeps && { picture_days: Number(typed(form, 'days')) }),
      pad_model_enough: form.has('pad'),
      pin_allowed: form.has('pin'),
    })
  const faults = faultsOf(save.error)
  // Networks are numbered: `allowed_networks.1`.
  const fault = (field: string) => {
    const message = faults.find(({ path }) => path.split(/[.[]/)[0] === field)?.message
    return message && faultText(message)
  }
  return (
    <FormDialog
      title={site ? t('settings.editOf', { name: site.name }) : t('settings.addSite')}
      act={t('settings.save')}
      busy={save.isPending}
      error={faults.length > 0 ? undefined : save.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Field
        label={t('settings.name')}
        error={fault('name')}
        name="name"
        defaultValue={site?.name}
        maxLength={200}
        required
      />
      <TimeZoneField
        hint={t('settings.zoneHint')}
        error={fault('time_zone')}
        defaultValue={site ? (site.time_zone ?? '') : Intl.DateTimeFormat().resolvedOptions().timeZone}
      />
      <TextArea
        label={t('settings.networks')}
        hint={t('settings.networksHint')}
        error={fault('allowed_networks')}
        name="networks"
        rows={3}
        placeholder="192.168.1.0/24"
        defaultValue={site?.allowed_networks.join('\n')}
      />
      <Check name="consent" checked={site?.require_consent ?? true} hint={t('settings.consentHint')}>
        {t('settings.consentAsked')}
      </Check>
      <Check name="pictures" checked={keeps} onChange={setKeeps} hint={t('settings.picturesHint')}>
        {t('settings.keepPictures')}
      </Check>
      {keeps && (
        <Field
          label={t('settings.pictureDays')}
          error={fault('picture_days')}
          name="days"
          type="number"
          min={1}
          max={3650}
          defaultValue={site?.picture_days ?? 30}
          required
        />
      )}
      <Check name="pad" checked={site?.pad_model_enough ?? false} hint={t('settings.padHint')}>
        {t('settings.pad')}
      </Check>
      <Check name="pin" checked={site?.pin_allowed ?? false} hint={t('settings.pinHint')}>
        {t('settings.pin')}
      </Check>
    </FormDialog>
  )
}

interface CheckProps {
  name: string
  checked: boolean
  hint: string
  onChange?: (checked: boolean) => void
  children: ReactNode
}

function Check({ name, checked, hint, onChange, children }: CheckProps) {
  return (
    <label className="flex items-start gap-3">
      <input
        type="checkbox"
        name={name}
        defaultChecked={checked}
        onChange={({ target }) => onChange?.(target.checked)}
        className="mt-1 size-4 shrink-0 accent-accent"
      />
      <span>
        <span className="block font-medium">{children}</span>
        <span className="block text-muted text-sm">{hint}</span>
      </span>
    </label>
  )
}
