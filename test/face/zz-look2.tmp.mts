import { decode } from '../../src/face/decode.ts'
import { blazefaceOutputs, detectFaces } from '../../src/face/detect/blazeface.ts'
import { rivalsOf } from '../../src/face/pipeline.ts'
import { fitMesh } from '../../src/face/mesh.ts'
import { meshOutputs } from '../../src/face/mesh.ts'
import { translateGraphModel } from '../../src/face/onnx/tfjs-graph.ts'
import { openNetwork } from '../../src/face/onnx/session.ts'
import { humanV1 } from '../../src/face/packs/human-v1.ts'
import { locate } from '../../src/face/packs/locate.ts'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { cuts, portrait, closeUp, groupPhoto } from './portraits.ts'
const net=await openNetwork('b',translateGraphModel({path:locate(humanV1.files.blazeface),input:{name:'input',shape:[3,256,256]},outputs:blazefaceOutputs,batch:1}),Object.keys(blazefaceOutputs))
const meshNet=await openNetwork('m',translateGraphModel({path:locate(humanV1.files.facemesh),input:{name:'input_1',shape:[3,192,192]},outputs:meshOutputs,batch:1}),Object.keys(meshOutputs))
const sideOf=(d:any)=>Math.sqrt(d.box.width*d.box.height)
const rivals2=(ds:any[])=>{ const sure=ds.filter(d=>d.score>=.5); return sure.length?rivalsOf(sure):rivalsOf(ds.slice(0,1)) }
const walk=(d:string):string[]=>readdirSync(d,{withFileTypes:true}).flatMap(e=>e.isDirectory()?walk(join(d,e.name)):/\.(jpg|png)$/.test(e.name)?[join(d,e.name)]:[])
async function kinds(b:Buffer){
  const p=await decode(b); const L=Math.max(p.width,p.height)
  const first=await detectFaces(net,p)
  const out:any={}
  const judge=async(r:any[])=>r.length===0?'no':r.length>1?'several':(await fitMesh(meshNet,p,r[0])).presence<.5?'no(mesh)':'face'
  const now=first.length?first:await detectFaces(net,p,.5)
  out.now=await judge(rivalsOf(now)); out.sure=await judge(rivals2(now))
  for(const t of [.3,.35,.4,.5]){const big=first.length===0||first.some(f=>sideOf(f)>=t*L); const second=big?await detectFaces(net,p,.5):[]; const fin=second.length?second:first; out['relook'+t]=await judge(rivalsOf(fin)); out['relook+sure'+t]=await judge(rivals2(fin)); out['cost'+t]=big?'twice':'once'}
  return out
}
const T=async(label:string,list:Buffer[])=>{const t:any={};for(const b of list)for(const [k,v] of Object.entries(await kinds(b))){t[k]??={};t[k][v as string]=(t[k][v as string]??0)+1};console.log(label);console.table(t)}
const names=Object.keys(cuts) as any[]
await T('closeups',(await Promise.all([.6,.4,.2,.15,.1,.05,0,-.05,-.1].map(m=>Promise.all(names.map(n=>closeUp(n,m)))))).flat())
const ps=await Promise.all(names.map(portrait))
await T('blurred',(await Promise.all([2,4,6,8].map(s=>Promise.all(ps.map(p=>sharp(p).blur(s).png().toBuffer()))))).flat())
await T('groups',[1,2,3,4,5,6].map(groupPhoto))
await T('lfw',walk('/work/shared/faces').map(f=>readFileSync(f)))
