"""Pickles of awkward arrays as the published skims are: same tables as from ROOT, nothing runs."""

import base64
import io
import pickle
import zlib

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
from search_samples import prepared

from fastjag import toys
from fastjag.analyses.dimuon.config import DimuonConfig
from fastjag.analyses.dimuon.skims import _Unpickler, pair_files, read_pair
from fastjag.io.files import ReadError
from fastjag.statistics import Window

# By awkward's version and pickle's protocol, written by those versions (and NumPy 1.26):
# Muon_pt [[1.5, 2.5], [], [3.5]] float32, HLT_Mu8 [True, False, True] from NumPy, and
# Muon_charge [[1, -1], [], [1]] int32, a slice of a longer array.
WRITTEN = {
    ("1.10.5", 2): (
        "c-oDWYg5xe6o%85iw02?#k+#nptiPJ5fv?XK_s;3iW)DqBx%Y<+N5u~5j!I@_yLh$<p+P5?ru}$A~Pm4*`3Xvb"
        "Kd9do2<l_p=d_8qA2;$_eyn!m~AdCE}20&McoBjbv`>)bs`ANri%FRHzc%;_a)~GQ)k=;o2^tD4x99Ynu-p-r&"
        "C*BMwijavwD8nNu%3H@VPsZ#h$Ivg|Jp{wgUI^Kve|xYy@VouZUi~!-(;P3idM`uo(I*J+X{~n$gc!>t?{xNm("
        "W7OBoFuvOSSDW&44Xs)beNno@r$aBSaeupqRVivHFv)hoB&;;^o);)q?cc{019I-Z!Q7?9O195uT5ST&jJWpL~"
        "}juV_%!%2cunjX_TR&hE?SZ2*Sk2_<;1@kD*uK!rWAi<EPCuFWMoGTOx)4%y8AG*SD-dd*v#-Q@|if<be(TEF_"
        "SHDPbiQ%$k^lfQECRsL_361tsi8D;O#w!F@g~r4xuF;mPN)|~WD@Aaf%c464rKO-=S@PFPPEiKO6=i-L8BzTP!"
        "A*v&6&4t7S<*gJGjpYUIEoP}Tyk5Z;yg#idEVJ%gu6xD(_^v=IgByfmuLB48%4TBk!w?o3yKMXhY`i2h{DR?v7"
        "mTDFxhVIS3KRpG9_6=17k`I&ji6VfzB{vH8?@uGJ4t{fKAO{!9hV%%xYBF`MIEYv5A6g*!iWzoD&;fZL;m_BHl"
        "!{bzv~P<+gn%QQz-w+YfErqQLz~P>PH-Plx{79HxM?2yBM(F6MCBbt<CH0s)QM>PBsKv-l+1x=2v{w>fIEp?$K"
        "U+#Ww$x0u5d0(=7gCxP@wV1=nafwE9g"
    ),
    ("1.10.5", 4): (
        "c-pm6K}!Nb7@cu7i$sd(QbZnt?4T$_bO<tph*npKu3@7)I!n4Mv$L6yPzNbtZhifq{#ngzD@HAN>SNep*zbGq&"
        "3p5dd~X;itTE(ex*m9Lb09#jli}TvaJ$HyF6+^I+5?$7<D87(4Gx}FZ)Vofqz`H!TXTHT=yZH4&OP3bx~5|_=6"
        "W_Qfi#?>LtsmC#R~d^QCw3QZoo`R+yMbCwM;{c+87WnN`(-m;Dro6$W2$H6x$xB#eUEe4hhA{Oq0{L=lX&NZJ`"
        "JhvTg*Kc5M>rH_-&DxCJk81$h&j$qBG+nX<)bK=nw%Ifm)$_g_Qe6R<4n@>5m#F_Drst>#cviC=r<C(@UYYjg4"
        "Cf=vVgw#9a|0Jb}$H`HNICOU_6QkIXS%pmk}icqeC&}~J-2bShYU(~Lf_23v-QrpS0znoX5Vu?>7a`dOB(gIDb"
        "@=qfkV~sE{!W!ET#jJ);sLcrP(wU&;_@|JK4c}QD{$IH|!To>8#95pPR<QbvBls|rp!fyFFEw!"
    ),
    ("2.0.8", 2): (
        "c-oDVX;;%g6o%85HSD-=2(DG3vWciD;EEKAj;L|Lkfc*4&?bG830Sq~@CA@x<p+P5&P-bo;e+Wpo$2k|x%YYRo"
        "6UF`TGD9LG;KceJ+sIWb4=5Y+&p(Z)6`cew>S@U#P@}LdzCs|M?$5VrbjnS6Ls6DCunf2jkOIc$flUP!t!*T=J"
        "n|yuu3`_x6nk;oGe368ucR6$y;HF7NbM#=iHDl<Z>b9>NHx_-M)&1XfqPxmpe9!b`^Jgk5iAMqm0fZYcX^Y%S4"
        "4@sgm4fG>bqna0@PX*D1PHQZDaXd}J6$j23yB=h46nnN_4Xx`bouj-nM<1<Gj<;&>S+j3$}p2L*GDmT*!v?fF?"
        "cgi{d{2TrrS*dWeC=|mZ4lSW%DG*IjRoa4#vQjQ<cR3Q>NT1pc$paLc2K_vC;shrZiY~^2^PitG~bxcQG=7c)+"
        "<VHuI5fc?`Tre8MnzzJMhH!Bkmk2KJ;0nRjWIC3v+d{H>VV0MQBJY|Jm*C^LzWaR#HwgNZ>4ds#0t1;$X7-nO)"
        "K^;LNZGrr&*;_mp7=j&qPpTH6V(R^hB$_8C8SbmAZu|8BdmuhkWnVOyG1Z2yGv~0Hmfw08^yS6=nlbM(GWY>%0"
        "1Oen=1Bmb5hfKr!;MO3KO#KeS!xZlXjHhn6lNRXXX~o`Dh%|tbqyFJtTM}T=!Twg>|uRqfV;l`*}QJV)9SrB%k"
        "e@<cyl+^FJhm6_VK+Nm`Q35zJRfGF1|L2n&+r1;NXjwBJAu@VrtyQofiL!=j{kP4I@}tsM#q!&VMe@1(=5V1?p"
        "ch2%ZK2SM^tlC-im*3QHmuvFu!SGJZG|0Kao3AW7swymXXYwv?~6m0e|+tM0vP6DqGu&S|K*8kt;Se1Bd1bL3a"
        "0dsh@3cjpRBtTWtpem_5icm_*38KTzv984IRALHy{HT279viasXMz&P7v+zyc9i-J8T@<$"
    ),
    ("2.0.8", 5): (
        "c-obcU2D`p6o!*cW9rr-+bW8P^hy?CLsyIRLa^eExNQXSw!}$xvS(~E6DE@`3oUrFe!$#$EdCt-na*U}u3f6sf"
        "n;(f=i@o=nUDVWAD+{!W9;f+uNFKm73$@rX1QX#LLH2#B1%d8cH#J%NIuY1+0!77IUUC_e!{n?J7jz?CUO`88$"
        "nJFX^z@|Atjj@->LEF+ERX+lggyIxyvf`Cd(?SW<EL)jb;9M?CF-VQ^6JG3QZVvbUUhxa&qc>y_BqAiXBqpm*s"
        "+}Cy!CDFwUurD<CDsebnueNK#NmWo44+<xI#TKA<Mv=VD0vSi}8ega<Qo6YGIz5my_lcaF2hZRIc(l7{A!N|u^"
        "haVABP)LBNYLfw-M=i+KD?5A=&wz$n__Mw^>P$OiEZR6K3pRGm%PrJ`BilW!Q%xYc(M`1Epnxb}JqOwxA8~omo"
        "D1z{?dvfEv>d)tnv$5ki?{^R$=~lKi&kNxtS-mMj-{!0%W9s15?z?!e-bQG{>e<Yo19#xAUP^?>5$^5dC92JkH"
        "s?rZ?YfTJkR<&-J3PXFu~ZGqN^>bwAaX<(dDdVZZo%z2oX@zu0*iE49I*wy^8BD@XE7uF>m*$B*v{N0!t~GnZx"
        "VI*8~pxBAp"
    ),
    ("2.7.2", 2): (
        "c-oDW=~L4{7{=3!BZ%OM;)Mqq4=RO<s3_ox6pF5>@xYL#TQ;^$`Xn2f&e$2gAo5rF!9PrQx2=fq!E`3Od7Jn6J"
        "^Qp9@dh-*?9?=EG4egD#u0Pu_42wM6w_ACb;=d0M_zMd*+F2}t<Yh#YFil{aif8RVWvd3Q?bJkNwZJv7u=99l}"
        "aJyvoZlGRo_>U5FKVhJh>BDbgH=Hdz^Y4T@7>_ENSW@mXE5ndNWx!yG5WDxK)?CUnqK1QmNwGe0&TC%pO_H^Jr"
        "j&%&t-NuHc}mQL_WPN;wTe^fl0LcF8n9s9I%O$00Se=ND-Pha)ClIKp;fqc|Gn5)B+P%-(irq&@#}$CJ~g9Y3J"
        "yYE<E_l0~-yDo{cmL=M+6(0ohxip_6vBByQQq+>avm=o&MlN%j_W=wP_;FQ@R){4ztFN4$HaE9RQ7S0h28M#<4"
        "xry_wf<<1hiM$JDT!K&H;`a9~Tp}1YatT#y3YYWw{QNI*sasCtxKh|=gXWO7bH)Ez6Ri~n6Wy;8T;sT2P(mt|M"
        "v6AKaf1yo1v0|KbZLT{a=OGOMp<*9QWhCG&=|qE7>Mm1C96j1Rn2~GOl#WEjHa#5;Fjz=L2#R6vJmC-9Crxrs>"
        "7aJShg0UN!(-7a8tr0OlLi2QVQq$72Idy&>zS{oZfYaGwKj$|3Hj3As)6N9!ZGD1W#HJPg@X$44z4dIfCbHRlj"
        "0>4@yp<NabQ$3=0xqkw8qoR0t)&3xb!*pX#UOFgsYIAPVA@gh;Ut*2#qLm)l4wWoBvY*OKXtWO~c~Hmj-3`feB"
        "Jd&T)-KeK*pv#v<iPXt!WPOEJAzb#=)vI2p_QQTt*+U`)29o7g~OHH?>rkllQsb-m=vcDy&O2>YsqcFvf=11<~"
        "$<{uB_+Nr>MFRmxNWi1?Z)dk;+5"
    ),
    ("2.7.2", 5): (
        "c-p;D%T59@6dfMp@C-37+_Gc?0X4>*xHAzjF)rMgT8EBpVA@F^5*8$WKzCmG9{)@`!yu8k_9o5kNqZi>ee*vai"
        "e6SL=-6Ov1V@Pm+ro?40?TO+B`loH3D{%9H(P|I#7m??N@9!#@D81n>xXl!lw*#V(zj8hh`vfMf(=B5+*yg8pE"
        "(=~t_j!RX!O9=CMHgn`Q2(FS<Ezhb&f$a7g(R3fUPsmiA0Lxguo-%T7o5xi6&Ax5nG9bjM0oZzR$&!48YLC70{"
        "y%?1Q-}r4gGM>Tct#+urXg?)6gMona>1onnn)-S{DVUV2`8=y^{=Fq4UfI~V$TbdSd70%*CDy^l6%)0Urwm;-G"
        "+!XLpl>it}OYg+IMpmNcA_AepD@`db#16rX~THCq!jHlz;xA~`W6x{l9m3B9d6{OKk?;94)y1M"
    ),
}


def written(version, protocol):
    return zlib.decompress(base64.b85decode(WRITTEN[version, protocol]))


@pytest.fixture(scope="module")
def skim(tmp_path_factory):
    """A toy file and the same events as two pairs of pickles."""
    folder = tmp_path_factory.mktemp("skim")
    toys.write(folder / "toys.root", 3000, seed=2)
    arrays = uproot.open(folder / "toys.root")["Events"].arrays(
        filter_name=["Muon_*", "Jet_*", "HLT_*", "MET_*", "PV_*"], how=dict
    )
    for guid, events in (("A", slice(0, 1800)), ("B", slice(1800, None))):
        for kind, prefixes in (("mu", ("Muon_", "HLT_")), ("jet", ("Jet_", "MET_", "PV_"))):
            content = {k: v[events] for k, v in arrays.items() if k.startswith(prefixes)}
            (folder / f"all_{kind}_{guid}").write_bytes(pickle.dumps(content))
    return folder


def search(files, **changes):
    return DimuonConfig(
        name="toy", files=tuple(map(str, files)), window=Window(5, 9, 10.6, 16), features=("dimu_pt",),
        lower={"mu0_pt": 17, "HLT_TrkMu15_DoubleTrkMu5NoFiltersNoVtx": 1, "mu1_iso04": 0.1},
        **changes,
    )  # fmt: skip


@pytest.mark.parametrize("require_jet", [False, True])
def test_same_tables_as_from_root(skim, tmp_path, require_jet):
    root = prepared(search([skim / "toys.root"], require_jet=require_jet), tmp_path / "root")
    done = prepared(search([skim / "all_*"], require_jet=require_jet), tmp_path / "pickles")
    assert done["cutflow"] == root["cutflow"]
    assert done["cutflow"]["OS pairs"] > 100
    names = sorted(p.name for p in (tmp_path / "root" / "prepare").glob("*.parquet"))
    assert len(names) == 5
    for name in names:
        ours, theirs = (
            pq.read_table(tmp_path / of / "prepare" / name) for of in ("pickles", "root")
        )
        assert ours.schema == theirs.schema
        for column in ours.column_names:  # jets of events without one are NaN
            a, b = ours[column].to_numpy(), theirs[column].to_numpy()
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {column}")


@pytest.mark.parametrize(("version", "protocol"), list(WRITTEN))
def test_versions(tmp_path, version, protocol):
    (tmp_path / "all_mu_1").write_bytes(written(version, protocol))
    (tmp_path / "all_jet_1").write_bytes(pickle.dumps({"MET_pt": np.arange(3.0)}))
    batch = read_pair(
        str(tmp_path / "all_mu_1"), str(tmp_path / "all_jet_1"), ["Muon_pt", "Muon_charge"],
        ["HLT_Mu8", "MET_pt", "HLT_Mu17"],
    )  # fmt: skip
    assert batch.Muon.counts.tolist() == [2, 0, 1]
    assert batch.Muon["pt"].tolist() == [1.5, 2.5, 3.5]
    assert batch.Muon["pt"].dtype == np.float32
    assert batch.Muon["charge"].tolist() == [1, -1, 1]
    assert batch["HLT_Mu8"].tolist() == [True, False, True]
    assert batch["MET_pt"].tolist() == [0, 1, 2]
    assert set(batch.flat) == {"HLT_Mu8", "MET_pt"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_awkward_that_is_installed(protocol):
    content = {"x": ak.Array([[1], [], [2, 3]]), "empty": ak.Array([[], []]), "flat": np.arange(4)}
    pickled = io.BytesIO(pickle.dumps(content, protocol))
    assert set(_Unpickler(pickled).load()) == set(content)


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def attacks(marker):
    import os
    import subprocess

    command = f"touch {marker}"
    yield Evil(os.system, command)
    yield Evil(eval, f"open({str(marker)!r}, 'w')")
    yield Evil(exec, f"open({str(marker)!r}, 'w')")
    yield Evil(subprocess.check_call, ["touch", str(marker)])
    yield Evil(open, str(marker), "w")
    yield Evil(np.savetxt, str(marker), [1])
    yield Evil(np.load, str(marker))
    yield Evil(getattr, subprocess.Popen, "__init__")
    yield Evil(ak.to_parquet, [1], str(marker))
    yield Evil(np.testing.assert_equal, 1, 1)


@pytest.mark.parametrize("attack", range(10))
def test_nothing_runs(skim, tmp_path, attack):
    marker = tmp_path / "executed"
    for position in ({"Muon_pt": 1}, {}):
        content = {**position, "evil": list(attacks(marker))[attack]}
        (tmp_path / "all_mu_A").write_bytes(pickle.dumps(content))
        with pytest.raises(ReadError, match=r"all_mu_A: it asks for .* do not need"):
            read_pair(str(tmp_path / "all_mu_A"), str(skim / "all_jet_A"), ["Muon_pt"])
    assert not marker.exists()


def test_allowed_names_do_nothing_either(tmp_path):
    """getattr is only ever written down: object's attributes cannot be reached through it."""
    reached = (
        b"\x80\x02cbuiltins\ngetattr\n(cbuiltins\nobject\nX\x0e\x00\x00\x00__subclasses__tR)R."
    )
    assert type(_Unpickler(io.BytesIO(reached)).load()).__name__ == "_Inert"
    # A class that the pickle got is no one else's: what it does to it dies with it.
    first, second = (_Unpickler(io.BytesIO(b"\x80\x02cnumpy\nndarray\n.")).load() for _ in range(2))
    assert first is not second


class TestErrors:
    def read(self, folder, mu, jet=None):
        jet = {"Jet_pt": ak.Array([[1.0], [], []])} if jet is None else jet
        for kind, content in (("mu", mu), ("jet", jet)):
            if not isinstance(content, bytes):
                content = pickle.dumps(content)
            (folder / f"all_{kind}_1").write_bytes(content)
        return read_pair(
            str(folder / "all_mu_1"), str(folder / "all_jet_1"), ["Muon_pt"], ["Jet_pt", "Muon_eta"]
        )

    @pytest.mark.parametrize(
        ("mu", "message"),
        [
            (pickle.dumps({"Muon_pt": ak.Array([[1.0, 2.0], [], []])})[:-40], "all_mu_1: the pickle is cut off"),
            (b"", "all_mu_1: the pickle is cut off"),
            (b"root\x00\x00\x01", "all_mu_1: .*(underflow|not a pickle|invalid load key)"),
            ([1, 2], "all_mu_1: holds a list, not a dict of branches"),
            ({"Muon_Pt": ak.Array([[1.0]])}, "no branch 'Muon_pt'"),
            ({"Muon_pt": ak.Array([[1.0], []])}, "all_jet_1: branch 'Jet_pt' has 3 events, 'Muon_pt' of .*all_mu_1 has 2"),
            ({"Muon_pt": ak.Array([[1.0], [], []]), "Muon_eta": ak.Array([[1.0], [], [2.0]])},
             "branch 'Muon_eta' and 'Muon_pt' have different lengths in event 2"),
            ({"Muon_pt": ak.Array([["a"], [], []])}, "branch 'Muon_pt': has lists of lists"),
            ({"Muon_pt": ak.Array([{"x": 1}])}, "branch 'Muon_pt': has no numbers but RecordArray"),
            ({"Muon_pt": "text"}, "branch 'Muon_pt': is no array but str"),
            ({"Muon_pt": np.array([[1.0, 2.0]])}, "branch 'Muon_pt': has 2 dimensions"),
            ({"Muon_pt": np.array(["a"])}, "branch 'Muon_pt': has type U1"),
        ],
    )  # fmt: skip
    def test_content(self, tmp_path, mu, message):
        with pytest.raises(ReadError, match=message):
            self.read(tmp_path, mu)

    def test_buffers_too_short(self, tmp_path):
        good = pickle.dumps({"Muon_pt": ak.Array([[1.0, 2.0], [], []])}, protocol=5)
        offsets = np.array([0, 2, 2, 2]).tobytes()
        assert offsets in good
        bad = good.replace(offsets, np.array([0, 2, 2, 900]).tobytes())
        with pytest.raises(ReadError, match="node1-data has 16 bytes, 900 of float64 need more"):
            self.read(tmp_path, bad)
        falling = good.replace(offsets, np.array([0, 2, 1, 2]).tobytes())
        with pytest.raises(ReadError, match=r"branches Muon_\*: .*offsets"):
            self.read(tmp_path, falling)

    def test_files(self, skim, tmp_path):
        with pytest.raises(ValueError, match=r"all_mu_A: its partner .*all_jet_A is not among"):
            pair_files([str(skim / "all_mu_A")])
        with pytest.raises(ValueError, match=r"all_jet_B: its partner .*all_mu_B is not among"):
            pair_files([str(skim / f"all_{x}") for x in ("mu_A", "jet_A", "jet_B")])
        with pytest.raises(FileNotFoundError, match="all_mu_9: no such file"):
            read_pair(str(tmp_path / "all_mu_9"), "all_jet_9", [])
        (tmp_path / "golden.json").write_text('{"7": [[3, 4]]}')
        config = search([skim / "all_*"], golden_json=str(tmp_path / "golden.json"))
        with pytest.raises(ValueError, match="golden_json cannot be applied to the published"):
            prepared(config, tmp_path / "out")

    def test_skipping(self, skim, tmp_path):
        for name in ("all_mu_A", "all_jet_A", "all_mu_B"):
            (tmp_path / name).write_bytes((skim / name).read_bytes())
        (tmp_path / "all_jet_B").write_bytes(b"\x80")
        config = search([tmp_path / "all_*"])
        done = prepared(config, tmp_path / "out", on_error="skip")
        assert done["cutflow"]["events read"] == 1800
        assert [s["reason"] for s in done["skipped"]] == [
            f"{tmp_path}/all_jet_B: the pickle is cut off"
        ]
        with pytest.raises(ReadError, match="all_jet_B: the pickle is cut off"):
            prepared(config, tmp_path / "other")
        assert not (tmp_path / "other" / "prepare").exists()
