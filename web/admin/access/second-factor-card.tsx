import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { totpSchema } from '../../../src/access/schema.ts'
import { type Answer, faultOf } from '../../shared/api.ts'
import { Badge } from '../../shared/badge.tsx'
import { Button } from '../../shared/button.tsx'
import { Field } from '../../shared/field.tsx'
import { FormDialog, typed } from '../../shared/form-dialog.tsx'
import { useToast } from '../../shared/toast.tsx'
import { Card } from '../page.tsx'
import { api } from '../session.ts'

type Totp = Answer<typeof totpSchema>

/** A code of an authenticator app that signing in asks for besides the password. */
export function SecondFactorCard({ isOn }: { isOn: boolean }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState<'password' | 'remove' | Totp>()
  const close = () => setOpen(undefined)
  return (
    <Card
      title={t('account.factor')}
      aside={
        <Badge tone={isOn ? 'good' : 'warn'} symbol={isOn ? '✓' : '!'}>
          {t(isOn ? 'access.factorOn' : 'access.factorOff')}
        </Badge>
      }
    >
      <div className="flex flex-col items-start gap-4 p-4">
        <p className="text-muted">{t(isOn ? 'account.factorIsOn' : 'account.factorMeans')}</p>
        {isOn ? (
          <Button look="danger" onClick={() => setOpen('remove')}>
            {t('account.removeFactor')}
          </Button>
        ) : (
          <Button look="primary" onClick={() => setOpen('password')}>
            {t('account.setUp')}
          </Button>
        )}
      </div>
      {open === 'password' && <Begin onBegun={setOpen} onClose={close} />}
      {open === 'remove' && <Remove onClose={close} />}
      {typeof open === 'object' && <ShowCode totp={open} onClose={close} />}
    </Card>
  )
}

function Begin({ onBegun, onClose }: { onBegun: (totp: Totp) => void; onClose: () => void }) {
  const { t } = useTranslation()
  const begin = useMutation({
    mutationFn: (password: string) => api<Totp>('/auth/totp', { method: 'POST', body: { password } }),
    onSuccess: onBegun,
  })
  return (
    <FormDialog
      title={t('account.setUp')}
      act={t('account.goOn')}
      busy={begin.isPending}
      error={begin.error}
      onSubmit={(form) => begin.mutate(String(form.get('password')))}
      onClose={onClose}
    >
      <Password />
    </FormDialog>
  )
}

function Password() {
  const { t } = useTranslation()
  return (
    <Field
      label={t('account.current')}
      hint={t('account.currentHint')}
      name="password"
      type="password"
      autoComplete="current-password"
      maxLength={200}
      required
      autoFocus
    />
  )
}

/** The secret as a picture and as text, and the code that shows that the app has it. */
function ShowCode({ totp, onClose }: { totp: Totp; onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const confirm = useMutation({
    mutationFn: (code: string) => api('/auth/totp/confirm', { method: 'POST', body: { code } }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['me'] })
      tell(t('account.factorSet'))
      onClose()
    },
  })
  const isWrong = faultOf(confirm.error, 'code') !== undefined
  return (
    <FormDialog
      title={t('account.setUp')}
      act={t('account.confirm')}
      busy={confirm.isPending}
      error={isWrong ? undefined : confirm.error}
      onSubmit={(form) => confirm.mutate(typed(form, 'code').replace(/\s/g, ''))}
      onClose={onClose}
    >
      <p className="text-muted">{t('account.scan')}</p>
      <img
        src={`data:image/svg+xml;utf8,${encodeURIComponent(totp.qr_svg)}`}
        alt={t('account.qr')}
        width="208"
        height="208"
        className="self-center rounded-lg bg-white p-2"
      />
      <div>
        <p className="text-muted text-sm">{t('account.secret')}</p>
        <a href={totp.uri} className="text-accent text-sm hover:underline">
          {t('account.openApp')}
        </a>
        <code className="block break-all rounded-lg bg-sunken p-3 text-sm">
          {totp.secret.match(/.{1,4}/g)?.join(' ')}
        </code>
      </div>
      <Field
        label={t('signIn.code')}
        hint={t('signIn.codeHint')}
        error={isWrong && t('account.wrongCode')}
        name="code"
        inputMode="numeric"
        autoComplete="one-time-code"
        pattern="[0-9 ]{6,7}"
        required
      />
    </FormDialog>
  )
}

function Remove({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation()
  const tell = useToast()
  const queries = useQueryClient()
  const remove = useMutation({
    mutationFn: (password: string) => api('/auth/totp', { method: 'DELETE', body: { password } }),
    onSuccess: () => {
      queries.invalidateQueries({ queryKey: ['me'] })
      tell(t('account.factorRemoved'))
      onClose()
    },
  })
  return (
    <FormDialog
      title={t('account.removeFactor')}
      act={t('account.removeFactor')}
      busy={remove.isPending}
      error={remove.error}
      onSubmit={(form) => remove.mutate(String(form.get('password')))}
      onClose={onClose}
    >
      <p className="text-muted">{t('account.removeMeans')}</p>
      <Password />
    </FormDialog>
  )
}
