import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { settings } from '../../../src/devices/schema.ts'
import { faultsOf, type Sent } from '../../shared/api.ts'
import { Button } from '../../shared/button.tsx'
import { Facts } from '../../shared/facts.tsx'
import { faultText } from '../../shared/fault-text.ts'
import { FormDialog } from '../../shared/form-dialog.tsx'
import { TextArea } from '../../shared/text-area.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'
import type { Device } from './device-dialogs.tsx'

type Settings = Sent<typeof settings>

/** Settings for the program of the kiosk, which gets all of them with its next heartbeat after a change. */
export function Configuration({ device }: { device: Device }) {
  const { t } = useTranslation()
  const [isOpen, setOpen] = useState(false)
  const entries = Object.entries(device.config ?? {})
  return (
    <Card
      title={t('devices.config')}
      aside={<Button onClick={() => setOpen(true)}>{t('devices.configEdit')}</Button>}
    >
      <p className="px-4 pt-3 text-muted text-sm">{t('devices.configMeans')}</p>
      {entries.length > 0 ? (
        <Facts facts={entries.map(([name, value]) => [name, String(value)])} />
      ) : (
        <p className="p-4 text-muted">{t('devices.configEmpty')}</p>
      )}
      {isOpen && <EditConfiguration device={device} onClose={() => setOpen(false)} />}
    </Card>
  )
}

function EditConfiguration({ device, onClose }: { device: Device; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const [fault, setFault] = useState<string>()
  const save = useMutation({
    mutationFn: (body: Settings) =>
      api(`/device-management/update/${encodeURIComponent(device.device_id)}`, {
        method: 'POST',
        body,
        headers: { 'if-match': `"${device.version}"` },
      }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['devices'] })
      tell(t('devices.configSaved'))
      onClose()
    },
  })
  const submit = (form: FormData) => {
    const read = readLines(String(form.get('config')))
    if ('wrong' in read) return setFault(t('devices.configWrong', { line: read.wrong }))
    setFault(undefined)
    save.mutate(read.settings)
  }
  // A field's own message says more than that something is wrong.
  const [first] = faultsOf(save.error)
  return (
    <FormDialog
      title={t('devices.configOf', { name: device.name })}
      act={t('devices.save')}
      busy={save.isPending}
      error={first ? undefined : save.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <TextArea
        label={t('devices.config')}
        hint={t('devices.configHint')}
        error={fault ?? (first && `${first.path}: ${faultText(first.message)}`)}
        name="config"
        rows={8}
        placeholder="volume = 80"
        defaultValue={Object.entries(device.config ?? {})
          .map(([name, value]) => `${name} = ${value}`)
          .join('\n')}
      />
    </FormDialog>
  )
}

/** `volume = 80`, a line each; numbers, true, false and null are what they look like, and all else is a text. */
function readLines(text: string): { settings: Settings } | { wrong: string } {
  const settings: Settings = {}
  for (const line of text.split('\n').filter((each) => each.trim())) {
    const [, name, value] = /^\s*([^=]+?)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    if (name === undefined || value === undefined) return { wrong: line.trim() }
    const isPlain = /^(true|false|null|-?\d{1,15}(\.\d{1,10})?)$/.test(value)
    settings[name] = isPlain ? (JSON.parse(value.replace(/^(-?)0+(?=\d)/, '$1')) as number) : value
  }
  return { settings }
}
